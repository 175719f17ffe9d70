/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "scene.h"
#include "store.h"

struct scene *scene_new(void)
{
	void *p = mmap(NULL, sizeof(struct scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		store_give_up("no memory for", "a scene");
	return p;
}

void scene_fail(struct scene *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->sentence, sizeof s->sentence, format, args);
	va_end(args);
	s->failed = 1;
	_exit(1);
}

void scene_fail_call(struct scene *s, const char *call)
{
	scene_fail(s, "%s: %s (%s)", call, strerror(errno), SASLastErrorMessage());
}

unsigned scene_seed(void)
{
	const char *text = getenv("SAS_TEST_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return text ? (unsigned)strtoul(text, NULL, 0) : (unsigned)now.tv_sec ^ (unsigned)now.tv_nsec;
}

int scene_fork(unsigned seconds)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		store_give_up("cannot start", "a process");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(seconds);
	}
	return pid;
}

int scene_wait(struct scene *s, int pid, const char *what)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			store_give_up("cannot wait for", what);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !s->failed)
		return 0;
	if (!s->failed)
		snprintf(s->sentence, sizeof s->sentence, "%s %s %d", what,
			 !WIFSIGNALED(status) ? "ended with status" :
			 WTERMSIG(status) == SIGALRM ? "hung; it was ended by signal" : "was ended by signal",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	s->failed = 1;
	return -1;
}
