# SPDX-License-Identifier: BSD-3-Clause
"""Servers under test: starting, asking, measuring and surely ending them, and the load generator.

A server runs pinned to one CPU in a session of its own, with a directory and a port that nobody
else uses. It is killed when its context ends, when the benchmark is interrupted, and by the kernel
should the benchmark itself be killed."""

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LOAD = os.path.join(ROOT, "build", "bench", "load")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """A server or the generator did not do what the measurement needs."""


class ReplyError(Failure):
    """The server answered with an error; the text is the message."""


class Spec:
    """Which server to run: a name, a program, and how its command line looks."""

    def __init__(self, name, command):
        self.name = name
        self.words = shlex.split(command)
        # A command with placeholders is taken as it is; others are given redis-server's options.
        self.is_template = "{port}" in command
        self.path = self.words[0]

    def command(self, port, directory, options):
        if self.is_template:
            return [word.format(port=port, dir=directory) for word in self.words]
        settings = {"port": str(port), "bind": "127.0.0.1", "dir": directory, "save": "",
                    "appendonly": "no", "daemonize": "no"}
        settings.update(options)
        command = list(self.words)
        for name, value in settings.items():
            command += ["--" + name, str(value)]
        return command

    def version(self):
        try:
            done = subprocess.run([self.path, "--version"], capture_output=True, text=True,
                                  timeout=10, stdin=subprocess.DEVNULL)
            return (done.stdout or done.stderr).strip().splitlines()[0]
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "unknown"


GIVES_WAY_NICE = 19


def rank_session(nice):
    """Where sessions share a CPU first (sched_autogroup_enabled), what a process says of itself
    holds among those of its own session only: the session has to say it, too."""
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write(str(nice))


def pinned(cpu, gives_way=False, nice=None, goes_first=False):
    """What a child in a session of its own does before exec: dies with its parent, stays on one
    CPU, and may give way to whoever else wants that: at once, or as `nice` says. Or it goes first,
    if that is permitted."""
    parent = os.getpid()

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.sched_setaffinity(0, {cpu})
        rank = os.getpriority(os.PRIO_PROCESS, 0)
        if gives_way and nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            rank = nice
        elif gives_way:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            rank = GIVES_WAY_NICE
        rank_session(rank)
        if goes_first:
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    return prepare


class Client:
    """A small blocking RESP2 client."""

    def __init__(self, port, timeout_s=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        raise Failure(f"unexpected reply {line!r}")

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def info(self, section):
        """The fields of one section of INFO as a dictionary of strings."""
        text = self.call("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


class Server:
    """A running server. Use as a context; `client` is connected once it answers."""

    def __init__(self, spec, port, directory, cpu, options=None, keeps_directory=False):
        self.spec, self.port, self.directory, self.cpu = spec, port, directory, cpu
        self.options = options or {}
        self.keeps_directory = keeps_directory
        self.gives_way, self.nice = False, None
        self.client = None
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if not self.keeps_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self):
        """A further connection, the caller's to close."""
        return Client(self.port)

    def start(self, wait_s=300):
        """Starts it and waits until PING is answered with PONG.

        Leaves in start_s and start_cpu_s what passed from exec until then."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            raise Failure(f"port {self.port} is taken")
        except ConnectionRefusedError:
            pass
        os.makedirs(self.directory, exist_ok=True)
        self.log_path = os.path.join(self.directory, "bench-server.log")
        command = self.spec.command(self.port, self.directory, self.options)
        with open(self.log_path, "ab") as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            cwd=self.directory, preexec_fn=pinned(
                                                self.cpu, self.gives_way, self.nice))
        self.pid = self.process.pid
        while not self.answers():
            if self.process.poll() is not None:
                raise Failure(f"{' '.join(command)} ended: {self.log_tail()}")
            if time.monotonic() - begin > wait_s:
                raise Failure(f"{self.spec.name} does not answer: {self.log_tail()}")
            time.sleep(0.002)
        self.start_s = time.monotonic() - begin
        self.start_cpu_s = self.cpu_s()

    def answers(self):
        try:
            if self.client is None:
                self.client = Client(self.port)
            return self.client.call("PING") == "PONG"
        except ReplyError as error:
            if str(error).startswith("LOADING"):
                return False
            raise
        except (OSError, Failure):
            if self.client is not None:
                self.client.close()
            self.client = None
            return False

    def log_tail(self):
        try:
            with open(self.log_path, errors="replace") as log:
                return " | ".join(log.read().splitlines()[-5:])
        except OSError:
            return ""

    def kill(self):
        """Ends the server and all that it started."""
        if self.client is not None:
            self.client.close()
            self.client = None
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None

    def shutdown(self, how="NOSAVE"):
        """Ends it in good order, as an operator would."""
        self.client.send("SHUTDOWN", how)
        try:
            self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.spec.name} does not shut down: {self.log_tail()}") from None
        self.kill()

    # ---- measuring ----

    def cpu_s(self):
        """User and system time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def exact_cpu_s(self):
        """The same to the nanosecond, as the scheduler counts it."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def rss_bytes(self):
        return status_bytes(self.pid, "VmRSS")

    def settled_rss_bytes(self, wait_s=20):
        """VmRSS once it has stood still for two seconds, or after `wait_s`."""
        deadline = time.monotonic() + wait_s
        last, since = self.rss_bytes(), time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < 2:
            time.sleep(0.1)
            now = self.rss_bytes()
            if abs(now - last) > 65536:
                last, since = now, time.monotonic()
        return self.rss_bytes()

    def tree_bytes(self):
        """Memory of the server and its children: each shared page once, page tables added."""
        total = 0
        for pid in process_tree(self.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    for line in file:
                        if line.startswith("Pss:"):
                            total += int(line.split()[1]) * 1024
                total += status_bytes(pid, "VmPTE")
            except (FileNotFoundError, ProcessLookupError, Failure):
                if pid == self.pid:
                    raise
        return total


def status_bytes(pid, field):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise Failure(f"/proc/{pid}/status has no {field}")


def process_tree(pid):
    """The process and all its living descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as file:
                    found += [int(word) for word in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


# ---- the load generator ----


def build_load():
    subprocess.run(["make", "-s", "-C", HERE], check=True)


def load_command(server, options):
    command = [LOAD, "--port", str(server.port), "--server-pid", str(server.pid)]
    for name, value in options.items():
        command.append("--" + name.replace("_", "-"))
        if value is not True:
            command.append(str(value))
    return command


def checked_result(server, text):
    """The generator's result by phase name, refused if any reply was wrong."""
    result = json.loads(text)
    phases = {phase["name"]: phase for phase in result["phases"]}
    for phase in phases.values():
        if phase["replies"]["error"] > 0:
            raise Failure(f"{server.spec.name} answered {phase['replies']['error']} errors: "
                          f"{result['first_error']}")
        if phase["wrong_length"] > 0:
            raise Failure(f"{server.spec.name} answered values of a wrong length")
    return phases


def load(server, cpu, **options):
    """Runs the generator to its end and returns the measured phase."""
    done = subprocess.run(load_command(server, options), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True,
                          preexec_fn=pinned(cpu))
    if done.returncode != 0:
        raise Failure(f"{server.spec.name}: {done.stderr.strip()} {server.log_tail()}")
    return checked_result(server, done.stdout)["measured"]


class ControlledLoad:
    """A generator that goes from phase to phase as it is told. Use as a context. One that
    `goes_first` is not itself kept waiting, which would be taken for the server's slowness."""

    def __init__(self, server, cpu, goes_first=False, **options):
        self.server = server
        self.process = subprocess.Popen(
            load_command(server, {**options, "control": True}), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=pinned(cpu, goes_first=goes_first))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.finish()

    def phase(self, name):
        self.say("phase " + name)

    def wait_ready(self):
        """Waits for the idle test's connections to stand."""
        if self.process.stdout.readline() != "ready\n":
            raise Failure(f"{self.server.spec.name}: {self.process.stderr.read().strip()}")

    def finish(self):
        """Ends the run and returns its phases by name."""
        try:
            text, errors = self.process.communicate("end\n")
        except BrokenPipeError:
            text, errors = "", self.process.stderr.read()
        if self.process.returncode != 0:
            raise Failure(f"{self.server.spec.name}: {errors.strip()} {self.server.log_tail()}")
        return checked_result(self.server, text)
