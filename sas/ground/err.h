/* SPDX-License-Identifier: MIT */
/*
 * err.h - failing with a sentence, and the one sink for messages. Layer 0.
 *
 * Inside the library a call gives 0 or -errno. Whoever finds the cause calls
 *         return sas_fail(ENOSPC, "no room for segment %lu in %s: the file system is full", n, path);
 * which stores the sentence for SASLastErrorMessage(), tells the sink and gives -ENOSPC. A caller
 * that handles the failure says nothing. Not async-signal-safe: the fault handler never calls it.
 *
 * The sink runs in the calling thread, so never call these with an internal lock held, unless
 * between sas_err_defer() and sas_err_flush(), which keep the sentence and tell the sink later.
 */
#ifndef SAS_ERR_H
#define SAS_ERR_H

#include <stdarg.h>

#define SAS_ERR_SENTENCE 1024   /* bytes; longer sentences are cut */

enum sas_err_level { SAS_ERR_ERROR = 1, SAS_ERR_WARNING = 2, SAS_ERR_INFO = 3, SAS_ERR_DEBUG = 4 };
typedef void (*sas_err_sink)(int level, const char *sentence, void *arg);

/* Stores the sentence, tells the sink (level ERROR), gives -error. */
int sas_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
/* Tells the sink only. */
void sas_note(enum sas_err_level level, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
/* The calling thread's last sentence; "" when it never failed. */
const char *sas_err_last(void);
void sas_err_set_sink(sas_err_sink sink, void *arg, int up_to);
/* Reads SAS_LOG=LEVEL[:FILE] (secure_getenv) once: level error|warning|info|debug or 1-4; FILE default stderr. */
void sas_err_open_env(void);
/* Nested: between the two, messages of this thread are kept (the newest 8) and told by the last flush. */
void sas_err_defer(void);
void sas_err_flush(void);
/* The public edge: 0 stays 0, -e sets errno = e and gives -1. */
int sas_err_edge(int result);

#endif
