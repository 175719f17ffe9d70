/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock_help.h"
#include "sas/lock/lock.h"
#include "sas/ground/port.h"
#include <sassim.h>

const sas_userlock_request_t all_modes[3] = { READ, INTENT, WRITE };
char *store, *base;
SASRegion_t region;

void locks_begin(void)
{
	store = help_store();
	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
	base = (char *)help_info(region).base;
}

void locks_end(void)
{
	if (region) {
		ck_assert_uint_eq(locks_in_use(region), 0);
		SASCleanUp();
	}
	if (help_files(store, "SAS00000.DAT"))
		help_clean(store);
}

static int wait_a_little(const uint32_t *word, uint32_t expected, uint64_t nanoseconds)
{
	int error = sas_port_linux.futex_wait(word, expected, nanoseconds < 500000 ? nanoseconds : 500000);

	return error == -ETIMEDOUT && nanoseconds > 500000 ? -EINTR : error;
}

void interrupt_waits(int on)
{
	static struct sas_port port;

	port = sas_port_linux;
	port.futex_wait = wait_a_little;
	sas_port = on ? &port : &sas_port_linux;
}

static struct answer obey(const struct request *r)
{
	struct answer a = { 0 };

	errno = 0;
	switch (r->order) {
	case TAKE:
		a.result = SASLockTake(r->address, r->mode, r->flags, r->milliseconds);
		break;
	case GIVE:
		a.result = SASLockGive(r->address);
		break;
	case CLASSIC:
		SASLock(r->address, r->mode);
		break;
	case HELD:
		a.result = SASLockHeld(r->address);
		break;
	case END:
		break;
	}
	a.error = a.result < 0 ? errno : 0;
	a.at = help_now();
	return a;
}

static void serve(const struct agent *a)
{
	struct request r;

	while (read(a->to[0], &r, sizeof r) == sizeof r && r.order != END) {
		struct answer answer = obey(&r);

		if (write(a->from[1], &answer, sizeof answer) != sizeof answer)
			return;
	}
}

static void in_process(void *arg)
{
	serve(arg);
}

static void *in_thread(void *arg)
{
	serve(arg);
	return NULL;
}

static void make(struct agent *a)
{
	memset(a, 0, sizeof *a);
	ck_assert_int_eq(pipe(a->to), 0);
	ck_assert_int_eq(pipe(a->from), 0);
}

void agent_process(struct agent *a)
{
	make(a);
	a->pid = help_fork(in_process, a);
}

void agent_thread(struct agent *a)
{
	make(a);
	ck_assert_int_eq(pthread_create(&a->thread, NULL, in_thread, a), 0);
}

void agent_ask(struct agent *a, struct request request)
{
	ck_assert_int_eq(write(a->to[1], &request, sizeof request), sizeof request);
}

static int has_answer(struct agent *a, int milliseconds)
{
	struct pollfd p = { .fd = a->from[0], .events = POLLIN };

	return poll(&p, 1, milliseconds) == 1;
}

struct answer agent_answer(struct agent *a)
{
	struct answer answer;

	ck_assert_msg(has_answer(a, (HELP_SANITIZED || help_valgrind() ? 10 : 1) * PATIENCE * 1000), "a call does not come back");
	ck_assert_int_eq(read(a->from[0], &answer, sizeof answer), sizeof answer);
	return answer;
}

struct agent *agent_next(struct agent *agents, int count)
{
	struct pollfd p[16];

	for (int i = 0; i < count; i++)
		p[i] = (struct pollfd){ .fd = agents[i].to[1] ? agents[i].from[0] : -1, .events = POLLIN };
	ck_assert_msg(poll(p, (nfds_t)count, PATIENCE * 1000) > 0, "no call comes back");
	for (int i = 0; i < count; i++)
		if (p[i].revents)
			return &agents[i];
	ck_abort_msg("nobody");
}

int agent_is_busy(struct agent *a)
{
	return !has_answer(a, 0);
}

static void drop(struct agent *a)
{
	for (int i = 0; i < 2; i++) {
		close(a->to[i]);
		close(a->from[i]);
	}
	a->to[1] = 0;
}

void agent_end(struct agent *a)
{
	agent_ask(a, (struct request){ .order = END });
	if (a->pid)
		help_done(a->pid);
	else
		ck_assert_int_eq(pthread_join(a->thread, NULL), 0);
	drop(a);
}

void agent_kill(struct agent *a)
{
	int status;

	ck_assert_int_eq(kill(a->pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(a->pid, &status, 0), a->pid);
	ck_assert(WIFSIGNALED(status));
	drop(a);
}

int agent_take(struct agent *a, void *address, sas_userlock_request_t mode, long milliseconds)
{
	agent_ask(a, (struct request){ TAKE, address, mode, 0, milliseconds });
	return agent_answer(a).error;
}

int agent_give(struct agent *a, void *address)
{
	agent_ask(a, (struct request){ .order = GIVE, .address = address });
	return agent_answer(a).error;
}

int agent_held(struct agent *a, void *address)
{
	agent_ask(a, (struct request){ .order = HELD, .address = address });
	return agent_answer(a).result;
}

void agent_wait_for(struct agent *a, SASRegion_t region, void *address, sas_userlock_request_t mode, long milliseconds)
{
	unsigned before = waiters(region);

	agent_ask(a, (struct request){ TAKE, address, mode, 0, milliseconds });
	ck_assert_msg(until(waiters(region) == before + 1 && is_awaited(region, address, mode), PATIENCE), "it does not wait");
}

/* --- SAS.run */

int is_awaited(SASRegion_t region, void *address, sas_userlock_request_t mode)
{
	uint64_t word;
	sas_lock_t lock;

	return sas_lock_find(region->run, (uintptr_t)address, &lock, &word) == 0 &&
	       (word & (mode == READ ? SAS_LOCK_READ_WAITS : SAS_LOCK_CHANGE_WAITS)) != 0;
}

unsigned waiters(SASRegion_t region)
{
	const struct sas_run *run = region->run;
	uint32_t top = sas_load_acquire_u32(&run->header->thread_top);
	unsigned count = 0;

	for (uint32_t i = 0; i < top; i++)
		count += (sas_load_acquire_u64(&run->threads[i].lock_wait) & SAS_WAIT_OPEN) != 0;
	return count;
}

unsigned locks_in_use(SASRegion_t region)
{
	const struct sas_run *run = region->run;
	uint32_t top = sas_load_acquire_u32(&run->header->line_top);
	unsigned count = 0;

	for (uint32_t n = 0; n < top; n++) {
		struct sas_run_line *line = &run->lines[n];

		count += sas_load_acquire_u32(&line->latch) != 0;
		for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++)
			count += (sas_load_acquire_u64(&line->lock[i].word) & (SAS_LOCK_HELD | SAS_LOCK_WAITS)) != 0;
	}
	return count;
}

unsigned pages_in_use(SASRegion_t region)
{
	const struct sas_run *run = region->run;
	uint32_t top = sas_load_acquire_u32(&run->header->page_top);
	unsigned count = 0;

	for (uint32_t i = 0; i < top; i++)
		count += sas_load_acquire_u32(&run->pages[i].owner) != 0;
	return count;
}
