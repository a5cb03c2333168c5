/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"
#include "base/memory.h"
#include "platform/memory_usage.h"

struct job {
    struct job *next;
    void (*run)(void *object);
    void *object;
};

struct background {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wakeup;
    struct job *first, *last;
    bool is_ending;
    atomic_uint_fast64_t pending;
    struct memory_thread_usage *_Atomic usage;
};

static void *background_run(void *udata) {
    struct background *background = (struct background *)udata;
    struct memory_thread_usage usage = memory_thread_usage_here();
    atomic_store(&background->usage, &usage);
    (void)pthread_mutex_lock(&background->mutex);
    while (background->first != NULL || !background->is_ending) {
        struct job *job = background->first;
        if (job == NULL) {
            (void)pthread_cond_wait(&background->wakeup, &background->mutex);
            continue;
        }
        background->first = job->next;
        if (background->first == NULL) {
            background->last = NULL;
        }
        (void)pthread_mutex_unlock(&background->mutex);
        job->run(job->object);
        memory_free(job);
        atomic_fetch_sub(&background->pending, 1);
        (void)pthread_mutex_lock(&background->mutex);
    }
    (void)pthread_mutex_unlock(&background->mutex);
    atomic_store(&background->usage, NULL);
    return NULL;
}

struct background *background_new(void) {
    struct background *background = memory_alloc_zero(sizeof(*background));
    (void)pthread_mutex_init(&background->mutex, NULL);
    (void)pthread_cond_init(&background->wakeup, NULL);
    /* Signals are for the main thread. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&background->thread, NULL, background_run, background);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    require(status == 0);
    return background;
}

void background_free(struct background *background) {
    (void)pthread_mutex_lock(&background->mutex);
    background->is_ending = true;
    (void)pthread_cond_signal(&background->wakeup);
    (void)pthread_mutex_unlock(&background->mutex);
    (void)pthread_join(background->thread, NULL);
    (void)pthread_cond_destroy(&background->wakeup);
    (void)pthread_mutex_destroy(&background->mutex);
    memory_free(background);
}

void background_add(struct background *background, void (*job)(void *object), void *object) {
    struct job *added = memory_alloc(sizeof(*added));
    *added = (struct job){.run = job, .object = object};
    atomic_fetch_add(&background->pending, 1);
    (void)pthread_mutex_lock(&background->mutex);
    if (background->last != NULL) {
        background->last->next = added;
    } else {
        background->first = added;
    }
    background->last = added;
    (void)pthread_cond_signal(&background->wakeup);
    (void)pthread_mutex_unlock(&background->mutex);
}

uint64_t background_pending(struct background *background) {
    return atomic_load(&background->pending);
}

int64_t background_allocated_bytes(const struct background *background) {
    const struct memory_thread_usage *usage = atomic_load(&background->usage);
    return usage != NULL ? memory_thread_usage_bytes(usage) : 0;
}
