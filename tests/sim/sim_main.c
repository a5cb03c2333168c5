/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator's command line: many seeds in several processes, and one seed closely.
 *
 *   sim [--seed N] [--runs N] [--jobs N] [--ops N] [--nodes N] [--faults PERCENT] [--alone]
 *       [--apart]                       nodes that lose each other for good while all write
 *   sim --seed N --verbose [--keep-ops 1-9,12] [--keep-faults 0,3]   replays one
 *   sim --stories [--only NAME]
 *   sim --large NODES                                                a large mesh
 *   sim --mutations [--runs N]                        (of a build with -DSTARLING_MUTATIONS)
 *
 * A failing seed is tried again with fewer operations and faults, as long as it fails; the command
 * that replays what is left is printed. The last line is `N passed, N failed`. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim/sim_main.h"
#include "sim/sim_run.h"

#ifdef STARLING_JEMALLOC
#include <jemalloc/jemalloc.h>

/* Each run takes as much memory as the one before: it is kept, since to get it anew costs a fault
 * for each page. It falls into pieces, so now and then all is given back (job_run()). */
const char *malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:0,narenas:1,lg_tcache_max:18";
#endif

enum {
    JOBS_MAX = 64,
    RUNS_KEEPING_MEMORY = 256,
    FAILURES_MAX = 64,
    RUN_SECONDS_MAX = 60,
    SHRINK_SECONDS_MAX = 20,
    SHRINK_FAILURES_MAX = 2,
    SHOWN_MAX = 50,
    TWICE_EVERY = 50, /* each so many-th seed runs twice: the traces must be equal */
};

struct failure {
    uint64_t seed;
    char text[SIM_FAILURE_BYTES];
};

/* Shared by all processes. */
struct shared {
    _Atomic uint64_t next_seed, passed, failed, events, reads, reads_with_value, acknowledged,
        refused, doubtful, frame_faults;
    _Atomic uint64_t converge_ms_sum, converge_ms_max;
    _Atomic unsigned failures_count;
    struct failure failures[FAILURES_MAX];
    struct {
        _Atomic uint64_t seed; /* under way */
        _Atomic bool is_running;
    } jobs[JOBS_MAX];
};

static struct shared *shared;

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_failure(uint64_t seed, const char *text) {
    unsigned at = atomic_fetch_add(&shared->failures_count, 1);
    atomic_fetch_add(&shared->failed, 1);
    if (at < FAILURES_MAX) {
        shared->failures[at].seed = seed;
        (void)snprintf(shared->failures[at].text, SIM_FAILURE_BYTES, "%s", text);
    }
}

/* ---- which parts of a plan are kept ---- */

struct keep {
    bool ops[RUN_OPS_MAX];
    bool faults[RUN_FAULTS_MAX];
};

static void keep_apply(struct plan *plan, const struct keep *keep) {
    unsigned count = 0;
    for (unsigned i = 0; i < plan->ops_count; i++) {
        if (keep->ops[i]) {
            plan->ops[count++] = plan->ops[i];
        }
    }
    plan->ops_count = count;
    count = 0;
    for (unsigned i = 0; i < plan->faults_count; i++) {
        if (keep->faults[i]) {
            plan->faults[count++] = plan->faults[i];
        }
    }
    plan->faults_count = count;
}

/* "0-3,7" into flags; false when it makes no sense. */
static bool keep_parse(bool *flags, unsigned count, const char *text) {
    memset(flags, 0, count);
    while (*text != '\0') {
        char *end;
        unsigned long from = strtoul(text, &end, 10), to = from;
        if (end == text) {
            return strcmp(text, "none") == 0;
        }
        if (*end == '-') {
            to = strtoul(end + 1, &end, 10);
        }
        for (unsigned long i = from; i <= to && i < count; i++) {
            flags[i] = true;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

static void keep_print(const bool *flags, unsigned count) {
    bool is_any = false;
    for (unsigned i = 0; i < count; i++) {
        unsigned to = i;
        if (!flags[i]) {
            continue;
        }
        while (to + 1 < count && flags[to + 1]) {
            to++;
        }
        (void)printf(is_any ? ",%u" : "%u", i);
        if (to > i) {
            (void)printf("-%u", to);
        }
        is_any = true;
        i = to;
    }
    if (!is_any) {
        (void)printf("none");
    }
}

/* ---- one run ---- */

static uint64_t run_plan(struct plan *plan, bool is_verbose, char failure[SIM_FAILURE_BYTES]) {
    static struct sim_run run;
    run_begin(&run, plan, is_verbose);
    run_carry_out(&run);
    memcpy(failure, run.world.failure, SIM_FAILURE_BYTES);
    uint64_t trace = run.world.trace;
    atomic_fetch_add(&shared->events, run.world.events_count);
    atomic_fetch_add(&shared->reads, run.oracle.reads);
    atomic_fetch_add(&shared->reads_with_value, run.oracle.reads_with_value);
    atomic_fetch_add(&shared->acknowledged, run.acknowledged);
    atomic_fetch_add(&shared->refused, run.refused);
    atomic_fetch_add(&shared->doubtful, run.doubtful);
    atomic_fetch_add(&shared->frame_faults, run.world.frame_faults);
    if (run.converged_us > run.heal_us) {
        uint64_t took_ms = (run.converged_us - run.heal_us) / 1000;
        atomic_fetch_add(&shared->converge_ms_sum, took_ms);
        if (took_ms > atomic_load(&shared->converge_ms_max)) {
            atomic_store(&shared->converge_ms_max, took_ms);
        }
    }
    run_end(&run);
    return trace;
}

static void run_seed(uint64_t seed, const struct plan_opts *opts) {
    static struct plan plan;
    char failure[SIM_FAILURE_BYTES];
    plan_make(&plan, seed, opts);
    uint64_t trace = run_plan(&plan, false, failure);
    if (failure[0] == '\0' && seed % TWICE_EVERY == 0) {
        plan_make(&plan, seed, opts);
        if (run_plan(&plan, false, failure) != trace) {
            (void)snprintf(failure, sizeof(failure), "a second run of the same seed is another");
        }
    }
    if (failure[0] != '\0') {
        add_failure(seed, failure);
    } else {
        atomic_fetch_add(&shared->passed, 1);
    }
}

/* ---- shrinking ---- */

/* Does what is kept of the plan still fail? In a process of its own: it may end by an assertion. */
static bool still_fails(uint64_t seed, const struct plan_opts *opts, const struct keep *keep) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct plan plan;
        char failure[SIM_FAILURE_BYTES];
        (void)freopen("/dev/null", "w", stderr);
        (void)alarm(RUN_SECONDS_MAX / 4);
        plan_make(&plan, seed, opts);
        keep_apply(&plan, keep);
        (void)run_plan(&plan, false, failure);
        _exit(failure[0] != '\0');
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

static void shrink_flags(uint64_t seed, const struct plan_opts *opts, struct keep *keep,
                         bool *flags, unsigned count, double until) {
    for (unsigned size = (count + 1) / 2; size > 0; size /= 2) {
        for (unsigned from = 0; from < count; from += size) {
            struct keep before = *keep;
            bool is_any = false;
            for (unsigned i = from; i < from + size && i < count; i++) {
                is_any = is_any || flags[i];
                flags[i] = false;
            }
            if (seconds_now() > until) {
                *keep = before;
                return;
            }
            if (is_any && !still_fails(seed, opts, keep)) {
                *keep = before;
            }
        }
    }
}

static void print_replay(uint64_t seed, const struct plan_opts *opts, const struct keep *keep,
                         const struct plan *plan) {
    (void)printf("    again: %s --seed %" PRIu64 " --ops %u", sim_program, seed, opts->ops_count);
    if (opts->nodes_count > 0) {
        (void)printf(" --nodes %u", opts->nodes_count);
    }
    if (opts->faults_percent != 100) {
        (void)printf(" --faults %" PRIu64, opts->faults_percent);
    }
    if (opts->is_alone) {
        (void)printf(" --alone");
    }
    if (opts->is_apart) {
        (void)printf(" --apart");
    }
    if (sim_mutation > 0) {
        (void)printf(" --mutation %u", sim_mutation);
    }
    (void)printf(" --verbose");
    if (keep != NULL) {
        (void)printf(" --keep-ops ");
        keep_print(keep->ops, plan->ops_count);
        (void)printf(" --keep-faults ");
        keep_print(keep->faults, plan->faults_count);
    }
    (void)printf("\n");
}

static void shrink(uint64_t seed, const struct plan_opts *opts) {
    static struct plan plan;
    static struct keep keep;
    plan_make(&plan, seed, opts);
    memset(&keep, 0, sizeof(keep));
    memset(keep.ops, 1, plan.ops_count);
    memset(keep.faults, 1, plan.faults_count);
    double until = seconds_now() + SHRINK_SECONDS_MAX;
    if (!still_fails(seed, opts, &keep)) {
        (void)printf("    it does not fail again\n");
        return;
    }
    shrink_flags(seed, opts, &keep, keep.faults, plan.faults_count, until);
    shrink_flags(seed, opts, &keep, keep.ops, plan.ops_count, until);
    shrink_flags(seed, opts, &keep, keep.faults, plan.faults_count, until);
    print_replay(seed, opts, &keep, &plan);
}

/* ---- many runs ---- */

/* platform/memory_usage.h has it, too, with a `malloc_conf` of its own. */
static void give_memory_back(void) {
#ifdef STARLING_JEMALLOC
    char name[32];
    (void)snprintf(name, sizeof(name), "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    (void)mallctl(name, NULL, NULL, NULL, 0);
#endif
}

static void job_run(unsigned job, uint64_t end_seed, const struct plan_opts *opts,
                    unsigned failures_max) {
    for (unsigned run = 1;; run++) {
        uint64_t seed = atomic_fetch_add(&shared->next_seed, 1);
        if (seed >= end_seed || atomic_load(&shared->failures_count) >= failures_max) {
            break;
        }
        atomic_store(&shared->jobs[job].seed, seed);
        atomic_store(&shared->jobs[job].is_running, true);
        (void)alarm(RUN_SECONDS_MAX);
        run_seed(seed, opts);
        atomic_store(&shared->jobs[job].is_running, false);
        if (run % RUNS_KEEPING_MEMORY == 0) {
            give_memory_back();
        }
    }
}

static pid_t job_start(unsigned job, uint64_t end_seed, const struct plan_opts *opts,
                       unsigned failures_max) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        job_run(job, end_seed, opts, failures_max);
        _exit(0);
    }
    return child;
}

void sim_shared_reset(uint64_t first_seed) {
    memset(shared, 0, sizeof(*shared));
    atomic_store(&shared->next_seed, first_seed);
}

void sim_run_many(uint64_t seed, uint64_t runs, unsigned jobs, const struct plan_opts *opts,
                  unsigned failures_max) {
    pid_t children[JOBS_MAX] = {0};
    unsigned alive = 0;
    sim_shared_reset(seed);
    for (unsigned job = 0; job < jobs; job++) {
        children[job] = job_start(job, seed + runs, opts, failures_max);
        alive += children[job] > 0;
    }
    while (alive > 0) {
        int status = 0;
        pid_t child = waitpid(-1, &status, 0);
        if (child < 0) {
            break;
        }
        for (unsigned job = 0; job < jobs; job++) {
            if (children[job] != child) {
                continue;
            }
            alive--;
            if (atomic_load(&shared->jobs[job].is_running)) {
                char text[64];
                int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
                (void)snprintf(text, sizeof(text),
                               number == SIGALRM ? "takes too long" : "ended by signal %d", number);
                atomic_store(&shared->jobs[job].is_running, false);
                add_failure(atomic_load(&shared->jobs[job].seed), text);
                children[job] = job_start(job, seed + runs, opts, failures_max);
                alive += children[job] > 0;
            }
        }
    }
}

uint64_t sim_failed_count(void) {
    return atomic_load(&shared->failed);
}

uint64_t sim_passed_count(void) {
    return atomic_load(&shared->passed);
}

const char *sim_first_failure(uint64_t *seed) {
    if (atomic_load(&shared->failures_count) == 0) {
        return NULL;
    }
    *seed = shared->failures[0].seed;
    return shared->failures[0].text;
}

static void report(double took, const struct plan_opts *opts) {
    uint64_t runs = sim_passed_count() + sim_failed_count();
    uint64_t checked = runs > 0 ? runs : 1;
    (void)printf("%" PRIu64 " runs in %.1f s: %.1f a second; per run %" PRIu64 " events, %" PRIu64
                 " reads checked, %" PRIu64 " of them with a value; writes %" PRIu64
                 " acknowledged, %" PRIu64 " refused, %" PRIu64
                 " without answer; converged %.1f s after healing, %.1f s at most\n",
                 runs, took, (double)runs / (took > 0 ? took : 1), shared->events / checked,
                 shared->reads / checked, shared->reads_with_value / checked,
                 shared->acknowledged / checked, shared->refused / checked,
                 shared->doubtful / checked,
                 (double)shared->converge_ms_sum / 1e3 / (double)checked,
                 (double)shared->converge_ms_max / 1e3);
    unsigned count = atomic_load(&shared->failures_count);
    for (unsigned i = 0; i < count && i < SHOWN_MAX; i++) {
        (void)printf("seed %" PRIu64 ": %s\n", shared->failures[i].seed, shared->failures[i].text);
        if (i < SHRINK_FAILURES_MAX) {
            shrink(shared->failures[i].seed, opts);
        } else {
            print_replay(shared->failures[i].seed, opts, NULL, NULL);
        }
    }
    if (count > SHOWN_MAX) {
        (void)printf("... and %u more\n", count - SHOWN_MAX);
    }
}

/* ---- the command line ---- */

const char *sim_program;
unsigned sim_mutation;

struct arguments {
    uint64_t seed, runs, large;
    unsigned jobs;
    bool is_verbose, tells_stories, tries_mutations;
    const char *only, *keep_ops, *keep_faults;
    struct plan_opts opts;
};

static int replay(const struct arguments *arguments) {
    static struct plan plan;
    static struct keep keep;
    char failure[SIM_FAILURE_BYTES];
    plan_make(&plan, arguments->seed, &arguments->opts);
    memset(&keep, 1, sizeof(keep));
    if ((arguments->keep_ops != NULL && !keep_parse(keep.ops, RUN_OPS_MAX, arguments->keep_ops)) ||
        (arguments->keep_faults != NULL &&
         !keep_parse(keep.faults, RUN_FAULTS_MAX, arguments->keep_faults))) {
        (void)fprintf(stderr, "sim: --keep-ops and --keep-faults take numbers, as in 0-3,7\n");
        return 2;
    }
    keep_apply(&plan, &keep);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t trace = run_plan(&plan, arguments->is_verbose, failure);
    (void)printf("trace %016" PRIx64 "%s%s\n", trace, failure[0] != '\0' ? ", FAILED " : "",
                 failure);
    (void)printf("%d passed, %d failed\n", failure[0] == '\0', failure[0] != '\0');
    return failure[0] != '\0';
}

static int parse(int argc, char **argv, struct arguments *arguments) {
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"ops", required_argument, NULL, 'o'},
                                            {"nodes", required_argument, NULL, 'n'},
                                            {"faults", required_argument, NULL, 'f'},
                                            {"apart", no_argument, NULL, 'p'},
                                            {"alone", no_argument, NULL, 'a'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"keep-ops", required_argument, NULL, 'O'},
                                            {"keep-faults", required_argument, NULL, 'F'},
                                            {"stories", no_argument, NULL, 'S'},
                                            {"only", required_argument, NULL, 'y'},
                                            {"large", required_argument, NULL, 'L'},
                                            {"mutations", no_argument, NULL, 'M'},
                                            {"mutation", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        switch (option) {
        case 's':
            arguments->seed = number;
            break;
        case 'r':
            arguments->runs = number;
            break;
        case 'j':
            arguments->jobs = number < 1 ? 1 : number > JOBS_MAX ? JOBS_MAX : (unsigned)number;
            break;
        case 'o':
            arguments->opts.ops_count = number > RUN_OPS_MAX ? RUN_OPS_MAX : (unsigned)number;
            break;
        case 'n':
            arguments->opts.nodes_count = number > RUN_NODES_MAX ? RUN_NODES_MAX : (unsigned)number;
            break;
        case 'f':
            arguments->opts.faults_percent = number;
            break;
        case 'a':
            arguments->opts.is_alone = true;
            break;
        case 'p':
            arguments->opts.is_apart = true;
            break;
        case 'v':
            arguments->is_verbose = true;
            break;
        case 'O':
            arguments->keep_ops = optarg;
            break;
        case 'F':
            arguments->keep_faults = optarg;
            break;
        case 'S':
            arguments->tells_stories = true;
            break;
        case 'y':
            arguments->only = optarg;
            break;
        case 'L':
            arguments->large = number;
            break;
        case 'M':
            arguments->tries_mutations = true;
            break;
        case 'm':
            sim_mutation = (unsigned)number;
            break;
        default:
            return 2;
        }
    }
    return optind == argc ? 0 : 2;
}

int main(int argc, char **argv) {
    struct arguments arguments = {
        .seed = 1, .runs = 1, .jobs = 2, .opts = {.ops_count = 200, .faults_percent = 100}};
    sim_program = argv[0];
    if (parse(argc, argv, &arguments) != 0) {
        (void)fprintf(stderr, "sim: the top of sim_main.c tells the usage\n");
        return 2;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(shared != MAP_FAILED);
    sim_select_mutation(sim_mutation);
    if (arguments.tells_stories) {
        return sim_stories(arguments.only, arguments.is_verbose);
    }
    if (arguments.tries_mutations) {
        return sim_mutations(arguments.runs, arguments.jobs, &arguments.opts);
    }
    if (arguments.large > 0) {
        return sim_large(arguments.seed, (unsigned)arguments.large, arguments.is_verbose);
    }
    if (arguments.runs == 1) {
        return replay(&arguments);
    }
    double began = seconds_now();
    sim_run_many(arguments.seed, arguments.runs, arguments.jobs, &arguments.opts, FAILURES_MAX);
    report(seconds_now() - began, &arguments.opts);
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sim_passed_count(),
                 sim_failed_count());
    return sim_failed_count() > 0 || sim_passed_count() == 0;
}
