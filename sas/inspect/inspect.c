/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - opening a region's files for reading, walking over its maps and logs, and who SAS.run names.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include "ground/err.h"
#include "inspect.h"
#include "lock/lock_list.h"
#include "ground/port.h"
#include "region/region.h"
#include "media/segment.h"
#include "block/tiles.h"

#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* A regular file of the directory, not a link to one. */
static int open_regular(int dir, const char *name, struct stat *st)
{
	int fd = sas_port->openat(dir, name, OPEN_FILE, 0);
	int error;

	if (fd < 0)
		return fd;
	error = sas_port->fstat(fd, st);
	if (!error && !S_ISREG(st->st_mode))
		error = -EUCLEAN;
	if (error) {
		sas_port->close(fd);
		return error;
	}
	return fd;
}

/* As much as the file has. */
static int read_there(int fd, void *buffer, uint64_t size, uint64_t offset, uint64_t *done)
{
	for (*done = 0; *done < size;) {
		ssize_t got = sas_port->pread(fd, (char *)buffer + *done, size - *done, offset + *done);

		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		*done += (uint64_t)got;
	}
	return 0;
}

/* The same; the rest is zero. */
static int read_padded(int fd, void *buffer, uint64_t size, uint64_t offset)
{
	uint64_t done;
	int error = read_there(fd, buffer, size, offset, &done);

	if (!error)
		memset((char *)buffer + done, 0, size - done);
	return error;
}

/* The anchor's file is open: what its size and type allow is said by `fault`. */
static int examine_file(struct sas_inspect *in)
{
	uint64_t least = in->anchor.segment_size;

	if (!(in->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		least += SAS_M_PAGE;
	if ((uint64_t)in->stat.st_size >= least)
		return 0;
	in->fault.offset = (uint64_t)in->stat.st_size;
	snprintf(in->fault.text, sizeof(in->fault.text), "the file ends here, its anchor says at %llu",
		 (unsigned long long)least);
	return -EUCLEAN;
}

static int is_segment(int dir, const char *name, void *arg)
{
	(void)dir;
	(void)arg;
	return sas_segment_number(name) >= 0;
}

/* Regions that come and go meanwhile have segments only beside an anchor; a directory that is looked at in turn may show
 * the segments of the next one. One that was cut short stays as it is. */
#define LOOKS 8

/* -ENODATA: there are segments, and no anchor. */
static int find_anchor(struct sas_inspect *in)
{
	for (int i = 0; i < LOOKS; i++) {
		int fd = open_regular(in->dir, SAS_ANCHOR_NAME, &in->stat);

		if (fd != -ENOENT || sas_directory_each(in->dir, is_segment, NULL) == 0)
			return fd;
	}
	return -ENODATA;
}

static int open_anchor(struct sas_inspect *in)
{
	int fd = find_anchor(in);

	if (fd == -ELOOP || fd == -EUCLEAN || fd == -ENXIO) {
		strcpy(in->fault.text, "this is not a regular file");
		return -EUCLEAN;
	}
	/* Copies put the anchor in place last. */
	if (fd == -ENODATA) {
		strcpy(in->fault.text,
		       "the anchor is missing beside other segments: a copy that was cut short");
		return -EUCLEAN;
	}
	if (fd == -ENOENT)
		return sas_fail(ENOENT, "%s: no region: there is no " SAS_ANCHOR_NAME, in->path);
	if (fd < 0)
		return sas_fail(-fd, "%s/" SAS_ANCHOR_NAME ": %s", in->path, strerror(-fd));
	in->anchor_fd = fd;
	return 0;
}

static int read_anchor(struct sas_inspect *in)
{
	int error = open_anchor(in);

	if (error)
		return error;
	error = read_padded(in->anchor_fd, in->page, sizeof(in->page), 0);
	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": %s", in->path, strerror(-error));
	error = sas_anchor_examine(&in->anchor, &in->fault);
	return error ? error : examine_file(in);
}

/* What the heads of tiles say, as far as they make sense. */
static void note_uses(struct sas_inspect *in)
{
	uint64_t end;

	for (uint64_t n = 0; n < in->segments; n = end) {
		uint32_t entry = in->table[n].block;
		int carved = sas_entry_carved(entry);

		end = n + 1;
		if (!carved && sas_inspect_fits(n, in->segments, entry))
			end = n + sas_entry_units(entry);
		memset(in->use + n, carved ? 1 : sas_entry_state(entry) == SAS_M_USED ? 2 : 0, end - n);
	}
}

int sas_inspect_reload(struct sas_inspect *in)
{
	uint64_t bytes = in->segments * sizeof(*in->table);
	int error = read_padded(in->anchor_fd, &in->state, sizeof(in->state), SAS_M_PAGE);

	if (!error)
		error = read_padded(in->anchor_fd, in->table, bytes, in->anchor.table_offset);
	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": %s", in->path, strerror(-error));
	note_uses(in);
	return 0;
}

static int read_tables(struct sas_inspect *in)
{
	in->segments = sas_segments_of(&in->anchor);
	in->table = malloc(in->segments * sizeof(*in->table));
	in->use = malloc(in->segments);
	if (!in->table || !in->use)
		return sas_fail(ENOMEM, "no memory for the segment table of %s: %llu segments", in->path,
				(unsigned long long)in->segments);
	return sas_inspect_reload(in);
}

static int open_directory(struct sas_inspect *in, const char *path)
{
	if (!path || !*path)
		return sas_fail(EINVAL, "no directory is named");
	if (strlen(path) >= sizeof(in->path))
		return sas_fail(ENAMETOOLONG, "%.60s...: the name is too long", path);
	strcpy(in->path, path);
	in->dir = sas_port->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (in->dir < 0)
		return sas_fail(-in->dir, "%s: %s", path, strerror(-in->dir));
	return 0;
}

int sas_inspect_open(const char *path, struct sas_inspect **out)
{
	struct sas_inspect *in = calloc(1, sizeof(*in));
	int error;

	*out = NULL;
	if (!in)
		return sas_fail(ENOMEM, "no memory to look at %s", path ? path : "a region");
	in->dir = in->anchor_fd = in->segment_fd = -1;
	error = open_directory(in, path);
	if (!error)
		error = read_anchor(in);
	if (in->fault.text[0])
		sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": offset %llu: %s", in->path,
			 (unsigned long long)in->fault.offset, in->fault.text);
	if (!error)
		error = read_tables(in);
	if (!error)
		error = sas_inspect_participants(in);
	if (error && error != -EUCLEAN) {
		sas_inspect_close(in);
		return error;
	}
	*out = in;
	return error;
}

void sas_inspect_close(struct sas_inspect *in)
{
	if (!in)
		return;
	if (in->segment_fd >= 0)
		sas_port->close(in->segment_fd);
	if (in->anchor_fd >= 0)
		sas_port->close(in->anchor_fd);
	if (in->dir >= 0)
		sas_port->close(in->dir);
	free(in->table);
	free(in->use);
	free(in->participants);
	free(in);
}

int sas_inspect_stat(const struct sas_inspect *in, uint64_t n, struct stat *st)
{
	char name[SAS_SEGMENT_NAME];

	return sas_port->fstatat(in->dir, sas_segment_name(name, n), st, AT_SYMLINK_NOFOLLOW);
}

int sas_inspect_file(struct sas_inspect *in, uint64_t n, int *fd)
{
	char name[SAS_SEGMENT_NAME];
	struct stat st;

	*fd = n ? in->segment_fd : in->anchor_fd;
	if (n == 0 || (*fd >= 0 && in->segment == n))
		return 0;
	if (*fd >= 0)
		sas_port->close(*fd);
	in->segment = n;
	*fd = in->segment_fd = open_regular(in->dir, sas_segment_name(name, n), &st);
	return *fd < 0 ? *fd : 0;
}

int sas_inspect_attributes(struct sas_inspect *in, uint64_t n, char said[SAS_XATTR_SAID])
{
	struct sas_m_trailer t;
	int fd, error = sas_inspect_file(in, n, &fd);

	said[0] = '\0';
	if (error || (in->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		return error;
	sas_segment_trailer(&t, &in->anchor, n);
	return sas_xattr_compare(fd, &t, &in->anchor, said);
}

int sas_inspect_read(struct sas_inspect *in, uint64_t offset, void *buffer, uint64_t size)
{
	int fd, error = sas_inspect_file(in, offset / in->anchor.segment_size, &fd);

	return error ? error : read_padded(fd, buffer, size, offset % in->anchor.segment_size);
}

int sas_inspect_entries(struct sas_inspect *in, uint64_t segment, uint64_t first, uint64_t count,
			uint32_t *entries)
{
	uint64_t offset = sas_map_of(&in->anchor, segment) + first * sizeof(*entries);

	return sas_inspect_read(in, offset, entries, count * sizeof(*entries));
}

int sas_inspect_fits(uint64_t unit, uint64_t units, uint32_t entry)
{
	uint32_t order = sas_entry_order(entry);
	uint64_t size = 1ULL << order;

	return order != SAS_M_ORDER_CARVED && !(unit & (size - 1)) && size <= units - unit;
}

/* --- walking over tiles */

static int broken_map(struct sas_inspect *in, uint64_t segment, uint64_t unit, uint32_t entry)
{
	char name[SAS_SEGMENT_NAME];
	uint64_t at = sas_map_of(&in->anchor, segment) + unit * sizeof(entry);

	return sas_fail(
		EUCLEAN,
		"%s/%s: offset %llu: entry 0x%08x of the block map of segment %llu is not possible there",
		in->path, sas_segment_name(name, at / in->anchor.segment_size),
		(unsigned long long)(at % in->anchor.segment_size), entry, (unsigned long long)segment);
}

int sas_inspect_each_in(struct sas_inspect *in, uint64_t segment, sas_inspect_visitor visit, void *arg)
{
	uint64_t units = in->anchor.segment_size / SAS_M_UNIT;
	uint64_t first = 0, count = 0, unit = 0;
	struct sas_inspect_tile tile = { .present = 1 };
	int result = 0;

	while (unit < units && !result) {
		uint32_t entry;

		if (unit >= first + count) {
			first = unit;
			count = units - unit < SAS_INSPECT_WINDOW ? units - unit : SAS_INSPECT_WINDOW;
			result = sas_inspect_entries(in, segment, first, count, in->window);
			if (result)
				return sas_fail(-result, "%s: the block map of segment %llu: %s", in->path,
						(unsigned long long)segment, strerror(-result));
		}
		entry = in->window[unit - first];
		if (!sas_inspect_fits(unit, units, entry))
			return broken_map(in, segment, unit, entry);
		tile.offset = segment * in->anchor.segment_size + unit * SAS_M_UNIT;
		tile.size = sas_entry_units(entry) * SAS_M_UNIT;
		tile.state = sas_entry_state(entry);
		tile.generation = sas_entry_generation(entry);
		result = visit(&tile, arg);
		unit += sas_entry_units(entry);
	}
	return result;
}

/* A tile of whole segments: a block in one piece, free space segment by segment. */
static int each_of_segments(struct sas_inspect *in, uint64_t first, uint32_t entry, sas_inspect_visitor visit,
			    void *arg)
{
	uint64_t size = in->anchor.segment_size, units = sas_entry_units(entry);
	struct sas_inspect_tile tile = { .state = sas_entry_state(entry),
					 .generation = sas_entry_generation(entry) };
	uint64_t step = tile.state == SAS_M_USED ? units : 1;
	int result = 0;

	for (uint64_t n = first; n < first + units && !result; n += step) {
		tile.offset = n * size;
		tile.size = step * size;
		tile.present = sas_inspect_present(in, n);
		result = visit(&tile, arg);
	}
	return result;
}

int sas_inspect_each(struct sas_inspect *in, sas_inspect_visitor visit, void *arg)
{
	uint64_t n = 0;
	int result = 0;

	while (n < in->segments && !result) {
		uint32_t entry = in->table[n].block;

		if (sas_entry_carved(entry) && sas_inspect_present(in, n)) {
			result = sas_inspect_each_in(in, n++, visit, arg);
			continue;
		}
		if (!sas_inspect_fits(n, in->segments, entry))
			return sas_fail(
				EUCLEAN,
				"%s/" SAS_ANCHOR_NAME
				": offset %llu: entry 0x%08x of segment %llu is not possible there",
				in->path,
				(unsigned long long)(in->anchor.table_offset + n * sizeof(*in->table)), entry,
				(unsigned long long)n);
		result = each_of_segments(in, n, entry, visit, arg);
		n += sas_entry_units(entry);
	}
	return result;
}

/* --- intent logs */

int sas_inspect_each_log(struct sas_inspect *in, int (*visit)(uint64_t offset, void *arg), void *arg)
{
	const struct sas_m_anchor *a = &in->anchor;
	uint64_t per_chunk = a->log_chunk_size / SAS_M_LOG_SIZE, left = SAS_RUN_THREADS;
	int result = 0;

	for (uint64_t n = 0; n < a->log_count && left && !result; n++, left--)
		result = visit(a->log_offset + n * SAS_M_LOG_SIZE, arg);
	for (unsigned c = 0; c < SAS_M_LOG_CHUNKS && !result; c++) {
		uint64_t chunk = in->state.log_chunk[c];

		if (!chunk || chunk % a->log_chunk_size || !sas_inspect_present(in, chunk / a->segment_size))
			continue;
		for (uint64_t n = 0; n < per_chunk && left && !result; n++, left--)
			result = visit(chunk + n * SAS_M_LOG_SIZE, arg);
	}
	return result;
}

struct count_intents {
	struct sas_inspect *in;
	uint32_t count;
};

static int count_intent(uint64_t offset, void *arg)
{
	struct count_intents *c = arg;
	struct sas_m_log log;
	int error = sas_inspect_read(c->in, offset, &log, sizeof(log));

	if (!error && log.magic == SAS_M_MAGIC_LOG && log.state != SAS_M_LOG_IDLE && log.used)
		c->count++;
	return error;
}

int sas_inspect_intents(struct sas_inspect *in, uint32_t *count)
{
	struct count_intents c = { .in = in };
	int error = sas_inspect_each_log(in, count_intent, &c);

	*count = c.count;
	if (error)
		return sas_fail(-error, "%s: the intent logs: %s", in->path, strerror(-error));
	return 0;
}

/* --- SAS.run */

/* As it was read: `run` leads to memory of our own. */
struct run_copy {
	struct sas_run run;
	struct sas_run_header header;
	int fd;
};

/* Is this the run-time state of this region, of this boot, and no copy? If not, nobody lives here. */
static int run_is_current(const struct sas_inspect *in, const struct sas_run_header *header,
			  const struct stat *st)
{
	uint8_t boot[16];

	sas_port_boot_id(boot);
	return header->magic == SAS_RUN_MAGIC &&
	       !memcmp(header->uuid, in->anchor.uuid, sizeof(header->uuid)) &&
	       header->generation == in->anchor.generation && !memcmp(header->boot_id, boot, sizeof(boot)) &&
	       header->device == st->st_dev && header->inode == st->st_ino;
}

static void bound(sas_u32_t *top, uint32_t most)
{
	top->word = top->word < most ? top->word : most;
}

/* `count` elements at `offset`; what lies beyond the end of the file is zero. -errno. */
static int read_array(const struct run_copy *copy, uint64_t offset, uint64_t count, uint64_t size, void *array)
{
	void *memory = calloc(count + 1, size);
	uint64_t done;

	memcpy(array, &memory, sizeof(memory));
	return memory ? read_there(copy->fd, memory, count * size, offset, &done) : -ENOMEM;
}

static int read_slots(struct run_copy *copy)
{
	struct sas_run *run = &copy->run;
	int error = read_array(copy, SAS_RUN_PROCESS_OFFSET, copy->header.process_top.word,
			       sizeof(*run->processes), &run->processes);

	return error ? error : read_array(copy, SAS_RUN_THREAD_OFFSET, copy->header.thread_top.word,
					  sizeof(*run->threads), &run->threads);
}

static int read_locks(struct run_copy *copy)
{
	struct sas_run *run = &copy->run;
	int error = read_array(copy, SAS_RUN_PAGE_OFFSET, copy->header.page_top.word, sizeof(*run->pages),
			       &run->pages);

	return error ? error : read_array(copy, SAS_RUN_LOCK_OFFSET, copy->header.line_top.word, SAS_RUN_LINE,
					  &run->lines);
}

/* 1: read; 0: there is nothing that counts; -errno. */
static int read_run(const struct sas_inspect *in, const struct stat *st, int locks, struct run_copy *copy)
{
	int error = read_padded(copy->fd, &copy->header, sizeof(copy->header), 0);

	if (error || !run_is_current(in, &copy->header, st))
		return error;
	bound(&copy->header.process_top, SAS_RUN_PROCESSES);
	bound(&copy->header.thread_top, SAS_RUN_THREADS);
	bound(&copy->header.page_top, SAS_RUN_PAGES);
	bound(&copy->header.line_top, SAS_RUN_LINES);
	copy->run.header = &copy->header;
	/* Slots last: a lock that is held got its place before its record. */
	error = locks ? read_locks(copy) : 0;
	if (!error)
		error = read_slots(copy);
	return error ? error : 1;
}

static void drop_run(struct run_copy *copy)
{
	if (copy->fd >= 0)
		sas_port->close(copy->fd);
	free(copy->run.processes);
	free(copy->run.threads);
	free(copy->run.pages);
	free(copy->run.lines);
}

/* The same, with a sentence; *copy is to be dropped, whatever comes. */
static int open_run(struct sas_inspect *in, int locks, struct run_copy *copy)
{
	struct stat st;
	int result;

	memset(copy, 0, sizeof(*copy));
	in->locked = 0;
	copy->fd = open_regular(in->dir, SAS_RUN_NAME, &st);
	if (copy->fd == -ENOENT || copy->fd == -EUCLEAN || copy->fd == -ELOOP || copy->fd == -ENXIO)
		return 0;
	if (copy->fd >= 0)
		in->locked = sas_port->ofd_test(copy->fd, F_WRLCK, 0, 0) > 0;
	result = copy->fd < 0 ? copy->fd : read_run(in, &st, locks, copy);
	if (result < 0)
		return sas_fail(-result, "%s/" SAS_RUN_NAME ": %s", in->path, strerror(-result));
	return result;
}

/* A process holds a file lock on its slot as long as it lives, if nobody closed its descriptors. */
static int process_lives(int fd, uint32_t slot)
{
	return sas_port->ofd_test(fd, F_WRLCK, sas_run_lock_byte(slot), 1) > 0;
}

static void describe_participant(const struct run_copy *copy, uint32_t slot, struct SASParticipantInfo *info)
{
	const struct sas_run_process *process = &copy->run.processes[slot];

	memset(info, 0, sizeof(*info));
	info->slot = slot;
	info->pid = process->pid;
	info->generation = process->generation;
	info->readOnly = process->read_only;
	info->joinedAt = process->joined_at;
	info->pidNamespace = process->pid_namespace;
	for (uint32_t t = 0; t < copy->header.thread_top.word; t++) {
		const struct sas_run_thread *thread = &copy->run.threads[t];

		if (thread->state.word == SAS_RUN_USED && thread->process == slot + 1)
			info->threads += (uint32_t)sas_run_is_held(&thread->life);
	}
	info->alive = info->threads || process_lives(copy->fd, slot);
}

static int describe_participants(struct sas_inspect *in, const struct run_copy *copy)
{
	uint32_t top = copy->header.process_top.word;

	sas_run_sum(&copy->run, &in->sums);
	in->recoveries = copy->header.recoveries.word;
	if (copy->header.seized.word && sas_run_is_held(&copy->header.block_lock))
		in->seized_by = (uint32_t)copy->header.block_lock.__data.__lock & FUTEX_TID_MASK;
	in->participants = calloc(top + 1UL, sizeof(*in->participants));
	if (!in->participants)
		return sas_fail(ENOMEM, "no memory for the participants of %s", in->path);
	for (uint32_t p = 0; p < top; p++) {
		if (copy->run.processes[p].state.word != SAS_RUN_USED)
			continue;
		describe_participant(copy, p, &in->participants[in->participant_count]);
		in->alive += in->participants[in->participant_count++].alive;
	}
	return 0;
}

int sas_inspect_participants(struct sas_inspect *in)
{
	struct run_copy copy;
	int result = open_run(in, 0, &copy);

	free(in->participants);
	in->participants = NULL;
	in->participant_count = in->alive = in->recoveries = in->seized_by = 0;
	memset(&in->sums, 0, sizeof(in->sums));
	if (result > 0)
		result = describe_participants(in, &copy);
	drop_run(&copy);
	return result;
}

int sas_inspect_lock(struct sas_inspect *in)
{
	int error = sas_port->flock(in->anchor_fd, LOCK_EX | LOCK_NB);

	if (error == -EWOULDBLOCK)
		return sas_fail(EBUSY, "%s: somebody is joining or changing the region", in->path);
	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be locked: %s", in->path,
				strerror(-error));
	return 0;
}

/* The first of those who live: "1234, 1235, ...". */
static void name_living(const struct sas_inspect *in, char text[64])
{
	int used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < in->participant_count && used < 40; i++)
		if (in->participants[i].alive)
			used += snprintf(text + used, (size_t)(64 - used), "%s%u", used ? ", " : "",
					 in->participants[i].pid);
	if (used >= 40)
		strcpy(text + used, ", ...");
}

/* Nobody joins while the lock is held; who had joined before is seen after it is taken. */
int sas_inspect_claim(struct sas_inspect *in)
{
	int error = sas_inspect_lock(in);
	char pids[64];

	if (!error)
		error = sas_inspect_participants(in);
	if (error)
		return error;
	name_living(in, pids);
	if (in->alive)
		return sas_fail(EBUSY, "%s: the region is in use: %u process%s joined it: %s", in->path,
				in->alive, in->alive == 1 ? " has" : "es have", pids);
	if (in->locked)
		return sas_fail(EBUSY, "%s: the region is in use on another host or in another boot",
				in->path);
	return in->table ? sas_inspect_reload(in) : 0;
}

/* Nobody lives: then nobody gives them back. */
int sas_inspect_run_held(struct sas_inspect *in)
{
	struct run_copy copy;
	int result = open_run(in, 0, &copy);

	if (result > 0)
		result = sas_run_is_held(&copy.header.table_lock) || sas_run_is_held(&copy.header.block_lock);
	drop_run(&copy);
	return result;
}

int sas_inspect_locks(struct sas_inspect *in, struct SASLockInfo **list, size_t *count)
{
	struct run_copy copy;
	int result = open_run(in, 1, &copy);

	*list = NULL;
	*count = 0;
	if (result > 0)
		result = sas_lock_list(&copy.run, list, count);
	drop_run(&copy);
	return result == -ENOMEM ? sas_fail(ENOMEM, "no memory for the locks of %s", in->path) : result;
}

int sas_inspect_threads(struct sas_inspect *in, struct SASThreadInfo **list, size_t *count)
{
	struct run_copy copy;
	int result = open_run(in, 1, &copy);

	*list = NULL;
	*count = 0;
	if (result > 0)
		result = sas_thread_list(&copy.run, list, count);
	drop_run(&copy);
	return result == -ENOMEM ? sas_fail(ENOMEM, "no memory for the threads of %s", in->path) : result;
}
