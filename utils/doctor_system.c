/* SPDX-License-Identifier: MIT */
/*
 * doctor_system.c - what this program's addresses and the kernel allow.
 */
#include <config.h>

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "doctor.h"
#include "sasconf.h"

#define WINDOW 0x565800000000UL         /* free also under ThreadSanitizer, MemorySanitizer and valgrind */
#define WINDOW_SIZE (128UL << 30)
#define MAPS_WANTED 8192                /* a region of the default geometry mapped whole, and the program's own */

/* --- addresses */

static void look_at_limit(struct doctor *d)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		doctor_say(d, "address-limit", DOCTOR_OK, NULL, "none");
	else
		doctor_say(d, "address-limit", limit.rlim_cur < RegionSize ? DOCTOR_DEGRADED : DOCTOR_OK,
			   "raise ulimit -v; without it segments are mapped one by one", "ulimit -v is %llu KiB",
			   (unsigned long long)limit.rlim_cur / 1024);
}

static void look_at_overcommit(struct doctor *d)
{
	char text[256];

	doctor_read("/proc/sys/vm/overcommit_memory", text);
	doctor_say(d, "overcommit", strcmp(text, "2") ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "reserved addresses are not counted, but programs' own memory is: leave room for it",
		   "vm.overcommit_memory is %s", text[0] ? text : "unknown");
	doctor_read("/proc/sys/vm/max_map_count", text);
	doctor_say(d, "mappings", atol(text) >= MAPS_WANTED ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "raise it, or make regions with larger segments: each one that is touched is a mapping",
		   "vm.max_map_count is %s", text[0] ? text : "unknown");
}

static void look_at_pages(struct doctor *d)
{
	long size = sysconf(_SC_PAGESIZE);

	doctor_say(d, "page-size", size == 4096 ? DOCTOR_OK : DOCTOR_BAD, "use a kernel with pages of 4096 bytes",
		   "%ld bytes", size);
}

/* --- processes that die, and those that wait for them */

static void *die_with(void *lock)
{
	pthread_mutex_lock(lock);
	return NULL;
}

/* Does the kernel mark the lock of a thread that ends? */
static int robust_works(pthread_mutex_t *lock)
{
	pthread_mutexattr_t a;
	pthread_t thread;
	int result;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	result = pthread_mutex_init(lock, &a);
	pthread_mutexattr_destroy(&a);
	if (result || pthread_create(&thread, NULL, die_with, lock))
		return 0;
	pthread_join(thread, NULL);
	result = pthread_mutex_trylock(lock);
	if (result == EOWNERDEAD) {
		pthread_mutex_consistent(lock);
		pthread_mutex_unlock(lock);
	}
	return result == EOWNERDEAD;
}

static void look_at_robust(struct doctor *d)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int works = p != MAP_FAILED && robust_works(p);

	if (p != MAP_FAILED)
		munmap(p, 4096);
	doctor_say(d, "robust-locks", works ? DOCTOR_OK : DOCTOR_BAD,
		   "allow set_robust_list(2) and futex(2); without them nobody learns of a death",
		   works ? "the kernel marks the locks of the dead" : "the kernel does not mark the locks of the dead");
}

static void look_at_waiting(struct doctor *d)
{
	int there = 0;
	long commands;

#ifdef SYS_futex_waitv
	there = syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == -1 && errno == EINVAL;
#endif
	doctor_say(d, "futex-waitv", there ? DOCTOR_OK : DOCTOR_DEGRADED, "nothing: waiters look again every 5 ms",
		   there ? "futex_waitv(2) is there" : "there is no futex_waitv(2)");
	commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	there = commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	doctor_say(d, "membarrier", there ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "allow membarrier(2); without it readers under epochs and small allocations pay for a fence",
		   there ? "membarrier(2) is there" : "there is no expedited membarrier(2)");
}

static void look_at_proc(struct doctor *d)
{
	char text[256];

	doctor_read("/proc/sys/kernel/random/boot_id", text);
	doctor_say(d, "boot-id", strlen(text) == 36 ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "mount /proc; without it a region counts as one of another boot when nobody lives in it",
		   strlen(text) == 36 ? "the kernel tells it" : "it cannot be read");
	doctor_read("/proc/self/maps", text);
	doctor_say(d, "proc", text[0] ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "mount /proc; without it files get temporary names first, and messages name no occupant of addresses",
		   text[0] ? "/proc/self is readable" : "/proc/self cannot be read");
}

/* --- memory */

static void look_at_huge_pages(struct doctor *d)
{
	char text[256], chosen[32] = "unknown", *from;

	doctor_read("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text);
	from = strchr(text, '[');
	if (from)
		snprintf(chosen, sizeof(chosen), "%.*s", (int)strcspn(from + 1, "]"), from + 1);
	doctor_say(d, "transparent-huge", !strcmp(chosen, "never") || !strcmp(chosen, "deny") || !from ? DOCTOR_DEGRADED :
		   DOCTOR_OK, "for regions on tmpfs: echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
		   "shmem_enabled is %s", chosen);
	doctor_read("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", text);
	doctor_say(d, "huge-pages", atol(text) > 0 ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "for regions on hugetlbfs: raise vm.nr_hugepages", "%s pages of 2 MiB are set aside",
		   text[0] ? text : "no");
}

static void look_at_numa(struct doctor *d)
{
	char text[256];
	int mode, allowed = syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == 0;

	doctor_read("/sys/devices/system/node/online", text);
	doctor_say(d, "numa", allowed && text[0] ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "allow get_mempolicy(2) and mbind(2); without them NUMA policies have no effect", "%s%s%s",
		   text[0] ? "nodes " : "the kernel has no NUMA", text, allowed ? "" : ", and policies are not allowed");
}

void doctor_system(struct doctor *d)
{
	doctor_addresses(d, "addresses", __SAS_BASE_ADDRESS, RegionSize,
			 "set SAS_BASE, or make the region with --base where there is room");
	doctor_addresses(d, "sanitizer-window", WINDOW, WINDOW_SIZE,
			 "under sanitizers and valgrind another base than 0x565800000000 has to be found");
	look_at_limit(d);
	look_at_overcommit(d);
	look_at_pages(d);
	look_at_robust(d);
	look_at_waiting(d);
	look_at_proc(d);
	look_at_huge_pages(d);
	look_at_numa(d);
}
