#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Can the crash tests fail? Each plant is a fault in a copy of one file of sas/ or sph/: an order of two stores
# turned around, a record or a sync left out. The crash tests are linked with it and must tell of what it
# breaks.
#
# crash_planted.sh [PLANT...]: these alone.

: "${top_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${top_builddir:=$PWD}"
: "${CC:=cc}"
export LC_ALL=C
only=$*

skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

test "$SAS_TEST_SIZE" != ci || skip "the planted faults are tried in the normal size of the tests"
test -f "$top_builddir/libsas_internal.la" || skip "libsas_internal.la is not built"
test -f "$top_builddir/tests/crash_step.o" || skip "tests/crash_step is not built"
unset SAS_TEST_SIZE

work=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-planted.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP INT TERM

planted=0 caught=0 wrong=0

# Change the copy of the file $1 by the sed script $2. Fails when that changes nothing.
edit() {
	rm -rf "$work/sas" "$work/sph"
	cp -R "$top_srcdir/sas" "$top_srcdir/sph" "$work"
	chmod -R u+w "$work/sas" "$work/sph"
	sed "$2" "$top_srcdir/$1" > "$work/$1"
	! cmp -s "$top_srcdir/$1" "$work/$1"
}

# The program $1 with the changed file $2, which is linked in place of the library's own.
build() {
	# shellcheck disable=SC2086 # CC and CFLAGS are words
	$CC $CPPFLAGS ${CFLAGS--g -O2} -w -I"$top_builddir" -I"$top_srcdir/include" -iquote "$work" -iquote "$work/sas" \
		-c "$work/$2" -o "$work/fault.o" &&
		"$top_builddir/libtool" --silent --tag=CC --mode=link $CC ${CFLAGS--g -O2} -o "$work/$1" \
			"$top_builddir/tests/$1.o" "$top_builddir"/tests/crash/*.o "$top_builddir/tests/sandbox.o" "$work/fault.o" \
			"$top_builddir/libsas_internal.la"
}

wrong() {
	printf '%-22s NOT CAUGHT: %s\n' "$1" "$2"
	wrong=$((wrong + 1))
}

# plant NAME FILE (of sas/, or sph/FILE) SED PROGRAM ARGUMENTS WHAT-IT-MUST-TELL (an extended regular expression) [SIZE]
plant() {
	case " $only " in
	"  " | *" $1 "*) ;;
	*) return ;;
	esac
	planted=$((planted + 1))
	file=sas/$2
	test "$2" = "${2#sph/}" || file=$2
	if ! edit "$file" "$3"; then
		wrong "$1" "the fault cannot be planted: $file has changed"
		return
	fi
	if ! build "$4" "$file" > "$work/log" 2>&1; then
		wrong "$1" "it does not compile: $(tail -n 3 "$work/log")"
		return
	fi
	# shellcheck disable=SC2086 # arguments are words
	SAS_TEST_SIZE=${7-ci} "$work/$4" $5 > "$work/log" 2>&1
	status=$?
	test "$status" -ne 77 || skip "$(tail -n 1 "$work/log")"
	if test "$status" -ne 1; then
		wrong "$1" "$4 $5 ends with status $status"
	elif ! grep -Eq "^FAIL.*($6)" "$work/log"; then
		wrong "$1" "$4 $5 tells of something else: $(grep -m 1 FAIL "$work/log")"
	else
		printf '%-22s caught: %s\n' "$1" "$(grep -Em 1 "^FAIL.*($6)" "$work/log" | cut -c 6-150)"
		caught=$((caught + 1))
	fi
}

# A block is published before its head is zero.
plant publish-first block/block.c '/^static int publish(/,/^}/ {
	s/^\tif (!error && state == SAS_M_DIRTY)$/\tif (!error)\
		sas_tile_use(map, unit, order, generation);\
&/
}' crash_step alloc-stained 'does not begin with zeros'

# The same for one that the thread has in its hand.
plant publish-first-leased block/lease.c '/^uint64_t sas_lease_take(/,/^}/ s/^\tif (sas_entry_state(.*== SAS_M_DIRTY)$/\
	uint32_t was = sas_m_load_relaxed_u32(map.entries);\
	sas_tile_use(\&map, 0, order, l->generation);\
	if (sas_entry_state(was) == SAS_M_DIRTY)/' crash_step alloc-cut 'does not begin with zeros'

# FREED says that the head is zero before it is.
plant freed-first block/block_free.c '/^static int retire(/,/^}/ s/^\tif (sas_block_clear_head(r, offset) == 0)$/\tsas_tile_free(map, unit, order, SAS_M_FREED);\
&/' crash_step free-large 'first page of free space holds a byte'

# The same for one that goes into the thread's hand.
plant freed-first-leased block/lease.c '/^int sas_lease_give(/,/^}/ s/^\tmemset(/\
	sas_tile_lease(\&map, 0, order, SAS_M_FREED, l->tag);\
&/' crash_step free-into-hand 'first page of free space holds a byte'

# A tile is cut at its head before its pieces are written.
plant head-first block/tiles.c '/^static void cut(/,/^}/ {
	/^\tuint32_t first = /a\
	store(map, head, sas_entry(t->state, order, 0));
}' crash_step alloc-cut 'never used holds'

# A region has its name before it has its bytes.
plant name-first media/file.c '/^static int make_once(/,/^}/ {
	s/^\t\terror = put_in_place(&m, q->name);/\t\t(void)0;/
	s/^\t\terror = q->fill(m.fd, q->arg);/\t\terror = put_in_place(\&m, q->name);\
	if (!error)\
&/
}' crash_step create 'SASRegionJoin|no region'

# A segment is in the table before its file is there.
plant table-first media/segment.c '/^int sas_segment_make(/,/^}/ s/^\terror = make_while_alive(r, n, dir);/\
	sas_m_store_release_u32(\&r->table[n].file, SAS_M_SEGMENT_PRESENT);\
&/' crash_step alloc-segment 'the file is missing'

# Segments are deleted before the region is stamped dead.
plant stamp-late region/region_remove.c '/^static int remove_locked(/,/^}/ s/^\tstamp_dead(r);//' \
	crash_step 'remove reset' 'the file is missing|files of one are'

# The index is changed without the record that makes it stale.
plant reindex-left-out run/log.c '/^int sas_intent_note(/,/^}/ {
	s/^\treturn append/\tif (type == SAS_M_RECORD_REINDEX)\
		return 0;\
&/
}' crash_step 'alloc alloc-first free alloc-large' 'bytes are lost|map is broken|have gone' normal

# A range is changed without the record that undoes it.
plant undo-left-out run/log.c '/^int sas_intent_undo(/,/^}/ s/^\treturn append/\tif (size == 8)\
		return 0;\
&/' crash_step undo-commit 'those before it are'

# A record is published before it is whole.
plant record-late run/log.c '/^static int append(/,/^}/ s/^\trecord->type =/\
	sas_m_store_release_u32(\&log->used, used + size);\
&/' crash_step 'undo-commit redo' 'before recovery|neither old nor new|was at|those before it are'

# A block that is taken with a word is published for good before the word names it.
plant word-late block/block_word.c '/^static int take_once(/,/^}/ s/^\t\tif (!error)$/\
		if (!error)\
			*entry = sas_entry(SAS_M_USED, sas_block_order(r, size), r->generation);\
&/' crash_step take-word 'the word is|has appeared|bytes are lost' normal

# A block of the runtime is taken without the record that gives it back.
plant alloc-left-out block/block.c 's/^\tif (!error \&\& q->undoable)$/\tif (0)/' \
	crash_step log-growth 'nothing names|chunks of logs'

# Redo records are applied before COMMITTED is stored.
plant commit-late run/log.c '/^int sas_intent_commit(/,/^}/ s/^\t\tsas_m_store_release_u32(.*COMMITTED);/\
		apply_redo(r, log);\
&/' crash_step redo 'those before it are|was at'

# A segment's name is not synced before the table says that it is there.
plant name-unsynced media/segment.c '/^int sas_segment_make(/,/^}/ s/^\terror = sas_sync_file(.*//' \
	crash_power 'process 1 2 3' 'the file is missing' normal

# SASSync() leaves out all segments but the first.
plant sync-left-out media/persist.c '/^int sas_sync(/,/^}/ s/n < r->segments/n < 1/' \
	crash_power 'process 1 2 3' 'content was synced|is lost|map entry of the block' normal

# A call on persistent memory returns while its last line is under way.
plant fence-left-out media/persist.c '/^int sas_persist(/,/^}/ s/^\tsas_fence(r);//' \
	crash_power 'pmem 1 2' 'pmem.*(is lost|map entry of the block|was freed and is in use|an intent|the finder)' normal

# The anchor of a region that is reset goes before the names of its segments have gone for good.
plant removal-unsynced region/region_remove.c '/^static int delete_files(/,/^}/ s/^\t\terror = sas_port->fsync(dir);/\t\terror = 0;/' \
	crash_power 'process 1 2' 'holds no region'

# The bytes that an intent changed are not synced before its log forgets them.
plant changes-unsynced run/log.c '/^static int persist_changed(/,/^}/ s/^\twhile (!error/\twhile (0/' \
	crash_power 'disk 1 2 3' 'an intent' normal

# A block that was allocated is not synced.
plant publish-unsynced block/block.c '/^static int publish(/,/^}/ s/^\terror = sas_persist.*/\terror = 0;/' \
	crash_power 'disk 1 2 3' 'is lost|map entry of the block' normal

# The evidence of a change is not saved by who changes the lock's word next.
plant evidence-left-out lock/hold.c '/^void sas_hold_save_evidence(/,/^}/ s/^\tdo {/\tif (number)\
		return;\
&/' crash_lock 'read intent read-nested' 'the word of address'

# The record is written before the word.
plant record-first lock/lock.c '/^static .* int find_and_take(/,/^}/ s/^\tn->word = 0;/\
	sas_store_release_u32(n->held.record, sas_hold_record(bucket << 2 | i, mode));\
&/' crash_lock 'write read' 'the word of address|survivor|a writer'

# A change is not announced.
plant pending-left-out lock/lock.c '/^#include "lock_newest.h"/i\
#include "hold.h"\
static int fault_change(struct sas_run_thread *thread, uint32_t slot, struct sas_lock *at, sas_lock_t lock, unsigned from,\
			unsigned to, uint64_t *word, uint32_t state, uint32_t number, uint64_t *made)\
{\
	(void)thread, (void)lock;\
	*made = sas_lock_word(state, slot, number, from == SAS_HOLD_WRITE || to == SAS_HOLD_WRITE);\
	return sas_cas_acq_rel_u64(\&at->word, word, *made);\
}\
#define sas_hold_change_to fault_change
' crash_lock 'write read' 'the word of address|survivor|a writer'

# Who takes a latch does not say so.
plant latch-unrecorded lock/lock_table.c '/^static int take_latch(/,/^}/ s/^\tsas_store_relaxed_u32(.*lock_latch, bucket + 1);//' \
	crash_lock 'insert' 'the latch of bucket|survivor'

# The address of a lock is changed without saying so.
plant rekey-unannounced lock/lock_table.c '/^static int change_key(/,/^}/ s/sas_hold_change(run, slot, lock, SAS_HOLD_WRITE, SAS_HOLD_WRITE, word,\(.*\)))$/sas_cas_acq_rel_u64(\&line->lock[lock \& 3U].word, word,\1))/' \
	crash_lock 'insert rekey' 'the word of address|survivor|has . places'

# A dead thread's page of records is not looked at.
plant page-overlooked lock/hold.c '/^void sas_hold_each(/,/^}/ s/for (int64_t page = -1;.*)$/for (int64_t page = 0; page < 0;)/' \
	crash_lock 'page-of-records' 'the word of address|survivor'

# A slot of a leaf counts before its entry is written.
plant slot-first sph/tree/leaf.c '/^void sph_leaf_add(/,/^}/ s/^\tsph_leaf_put_entry(/\t__atomic_store_n(bits, *bits | 1ULL << slot % 64, __ATOMIC_RELEASE);\
&/' crash_step tree-insert 'has the value|does not meet key|meets one key more'

# A new node is published before it is whole.
plant node-first sph/tree/change_make.c '/^static int make_node(/,/^}/ s/^\tsph_racy_copy(&node->n, .*/\
	late = node;\
	late_image = image;/
/^int sph_change_publish(/,/^}/ s/^\t__atomic_store_n(at, node, __ATOMIC_RELEASE);/&\
	sph_racy_copy(\&late->n, \&late_image->n, c->page - offsetof(struct sph_node, n));/
/^static int make_node(/i\
static struct sph_node *late;\
static const struct sph_node *late_image;
' crash_step 'tree-first tree-pack-leaf' 'has the value|does not meet key|a pointer leads to'

# The new pages are settled before the tree leads to them.
plant settled-first sph/tree/change_make.c '/^int sph_change_publish(/,/^}/ s/^\t__atomic_store_n(at, node, __ATOMIC_RELEASE);/\
	for (size_t i = 0; i < c->made_count; i++)\
		sph_pages_settle(c->made[i]);\
&/' crash_step tree-split-leaf 'in use that nothing leads to'

# The old pages are not taken out of use before the tree leads past them.
plant withdrawn-late sph/tree/change_make.c '/^int sph_change_publish(/,/^}/ {
	s/^\t__atomic_store_n(at, node, __ATOMIC_RELEASE);//
	s/^\tfor (unsigned i = 0; i < c->old_count; i++)$/\t__atomic_store_n(at, node, __ATOMIC_RELEASE);\
&/
}' crash_step tree-join-leaves 'in use that nothing leads to'

# Who changes nodes does not say so.
plant change-unnamed sph/tree/change_make.c '/^int sph_change_begin(/,/^}/ s/^\t\t\tc->cell = cell;/&\
	__atomic_store_n(c->cell, 0, __ATOMIC_RELEASE);/' crash_step tree-split-leaf 'pages are in transit'

# Recovery gives back the pages that the tree leads to.
plant reached-given sph/tree/change_recover.c '/^static int is_reached(/,/^}/ s/^\treturn found .*/\treturn 0;/' \
	crash_step tree-split-leaf 'does not lead to a node|a pointer leads to'

# Recovery looks for a page under the first inner node alone.
plant sweep-short sph/tree/change_recover.c '/^static int look_from(/,/^}/ s/more ? 0 : -ENOENT/-ENOENT/' \
	crash_step tree-split-inner 'does not lead to a node|a pointer leads to'

printf '%d faults planted, %d caught\n' "$planted" "$caught"
test "$wrong" -eq 0
