#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Can the gates fail? Each is shown a copy of the tree, which it must pass, and the same copy with
# one violation planted, which it must refuse with a line that names the violation.

gates=$(cd "$(dirname "$0")" && pwd)
. "$gates/lib.sh"
source=$top_srcdir
test "$SAS_TEST_SIZE" != ci || skip "violations are planted in the normal size of the tests"

# What the gates look at, without what a build in the tree itself leaves there.
mkdir "$work/pristine"
( cd "$source" && {
	find . -maxdepth 1 -type f
	find ./.ci ./bench ./build-aux ./doc ./examples ./include ./man ./sas ./sph ./tests ./utils -type f \
		! -path '*/.libs/*' ! -path '*/.deps/*' ! -name '*.log' ! -name '*.trs' ! -name '*.o' ! -name '*.lo'
  } 2> /dev/null | tar -cf - -T - ) | tar -xf - -C "$work/pristine"
chmod -R u+w "$work/pristine"

fresh_copy() {
	tree=$work/tree
	rm -rf "$tree"
	cp -R "$work/pristine" "$tree" || exit 99
}

planted=0

# gate, words of the complaint: the planted violation must be refused.
refused() {
	planted=$((planted + 1))
	top_srcdir=$tree sh "$gates/$1.sh" > "$work/said" 2>&1
	result=$?
	if test $result = 77; then
		echo "$1: skipped"
	elif test $result != 1 || ! grep -q -e "$2" "$work/said"; then
		complain "$1.sh: exit $result and no word of \"$2\": $(head -n 3 "$work/said")"
	else
		echo "$1: refused \"$2\""
	fi
	fresh_copy
}

fresh_copy
for gate in layers port symbols layout man headers spdx; do
	top_srcdir=$tree sh "$gates/$gate.sh" > "$work/said" 2>&1
	result=$?
	test $result = 0 || test $result = 77 ||
		complain "$gate.sh: exit $result for the tree as it is: $(head -n 3 "$work/said")"
done
test -s "$work/complaints" && verdict

# layers: upward, sideways, a stranger, a circle
echo '#include "region/runtime.h"' >> "$tree/sas/ground/port.c"
refused layers 'port.c.*layer 0 does not see layer 3'
echo '#include "sassim.h"' >> "$tree/sas/block/block.c"
refused layers 'block.c.*does not see public headers'
echo '#include "sas/media/layout.h"' > "$tree/utils/stranger.c"
refused layers 'utils/stranger.c.*utils/ sees'
echo '#include <stdio.h>' >> "$tree/sas/media/layout.h"
refused layers 'layout is bytes alone'
echo 'int x;' > "$tree/sas/nowhere.c"
refused layers 'nowhere.c: in no layer'
echo '#include "sasregion.h"' >> "$tree/include/sastype.h"
refused layers 'circle'
echo '#include "../sas/ground/err.h"' >> "$tree/include/sassim.h"
refused layers 'no such file in the tree\|sees only public headers'

# port: a system call beside the table, in an archive of one object
mkdir -p "$work/build/.libs"
echo '#include <unistd.h>
int drop(const char *name); int drop(const char *name) { return unlink(name); }' > "$work/space.c"
${CC:-cc} -c "$work/space.c" -o "$work/libsas_internal_la-space.o" &&
	ar cr "$work/build/.libs/libsas_internal.a" "$work/libsas_internal_la-space.o" 2> /dev/null
built=$top_builddir
top_builddir=$work/build
export top_builddir
refused port 'space.o: calls unlink()'
top_builddir=$built

# symbols: one too many and one too few in each place
sed -i 's/^\(.*\)SASVersion;/\1SASVersion;\n\1SASNobody;/' "$tree/sas/sasphere.map"
refused symbols 'SASNobody: in the map, not in the library'
sed -i '/SASVersion;/d' "$tree/sas/sasphere.map"
refused symbols 'SASVersion: in the library, not in the map'
sed -i 's/^#endif$/extern __C__ int\nSASForgotten (void);\n#endif/' "$tree/include/sasstname.h"
refused symbols 'SASForgotten: in the headers, not in the map'
sed -i 's/^#endif$/extern __C__ int\nsasForgotten;\n#endif/' "$tree/include/sasstname.h"
refused symbols 'sasForgotten: in the headers, not in the map'
sed -i 's/^#endif$/extern __C__ int\nsphForgotten (void);\n#endif/' "$tree/include/sphgtod.h"
refused symbols 'sphForgotten: in the sphgtod.h, not in the libsphgtod.a'

# layout: a field moved, a field and a structure not described, a structure without assertions
sed -i 's/^\tuint64_t finder;/\tuint32_t planted;\n&/' "$tree/sas/media/layout.h"
refused layout 'assert'
sed -i 's/finder/f_inder/g' "$tree/doc/FORMAT.md"
refused layout 'field finder of struct sas_m_state is not described'
sed -i 's/sas_m_trailer/sas_m_gone/g' "$tree/doc/FORMAT.md"
refused layout 'does not describe struct sas_m_trailer'
echo 'struct sas_m_new { uint32_t first; };' | sed 's/{ /{\n\t/; s/; }/;\n}/' >> "$tree/sas/media/layout.h"
refused layout 'asserts nothing about sas_m_new'

# man: no page, a page groff complains about, a link to nowhere, a page of something else
rm "$tree/man/SASVersion.3"
refused man 'no page man/SASVersion.3'
page_of() {	# name text
	printf '.\\" SPDX-License-Identifier: MIT\n.TH X 3 2026-01-01 X X\n.SH NAME\n%s \\- x\n' "$1"
	printf '.SH RETURN VALUE\n%s\n' "$2"
}
page_of X '.nosuchmacro' > "$tree/man/X.3"
refused man 'groff: '
echo '.so man3/Nowhere.3' > "$tree/man/X.3"
refused man 'leads to Nowhere.3, which is not there'
page_of Y 'None.' > "$tree/man/X.3"
refused man 'NAME section does not name X'

# headers: incomplete, not C++, a definition, a warning
echo 'extern __C__ SASVersion_t SASNobody (uid_t user);' > "$tree/include/aaa.h"
refused headers 'aaa.h first'
header_of() {	# content
	printf '#ifndef ZZZ_H\n#define ZZZ_H\n%s\n#endif\n' "$1" > "$tree/include/zzz.h"
}
header_of 'static inline int zzz(int class) { return class; }'
refused headers 'zzz.h.*c++11\|as c++11'
header_of 'int zzz = 1;'
refused headers 'two files in one program'
header_of 'static inline char *zzz(void) { return "z"; }'
refused headers 'zzz.h alone'

# spdx
echo 'int x;' > "$tree/sas/new.c"
refused spdx 'sas/new.c: no SPDX line'

verdict "$planted planted violations refused"
