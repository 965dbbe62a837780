# The Makefile: installation, flags, and what a build says of itself.

load setup

# A copy of what is under version control or would be, without a repository around it.
copy() {
	mkdir copy
	tar -C "$ROOT" -cf - Makefile VERSION mk lib tools genotypes pipelines share man | tar -C copy -xf -
}

in_copy() {
	make -C copy --no-print-directory BUILD=build "$@"
}

@test "installation and its undoing" {
	make -s -C "$ROOT" BUILD="$BUILD" DESTDIR="$PWD/root" prefix=/usr install
	for t in prep search derive train eval collect dot lr verify; do
		assert_file_executable root/usr/bin/sd-$t
		assert_file_not_empty root/usr/share/bash-completion/completions/sd-$t
	done
	assert_file_not_empty root/usr/share/man/man7/sharpdarts.7
	assert_file_not_empty root/usr/share/man/man1/sd-prep.1
	assert_file_not_empty root/usr/share/sharpdarts/pipelines/experiment.mk
	assert_file_not_empty root/usr/share/sharpdarts/data/digits.csv.gz
	run root/usr/bin/sd-dot DARTS_V2
	assert_success
	make -s -C "$ROOT" BUILD="$BUILD" DESTDIR="$PWD/root" prefix=/usr uninstall
	run find root -type f
	assert_output ''
}

@test "the installed pipeline finds its data" {
	make -s -C "$ROOT" BUILD="$BUILD" DESTDIR="$PWD/root" prefix=/usr install
	PATH=$PWD/root/usr/bin:$PATH run make -f root/usr/share/sharpdarts/pipelines/quickstart.mk OUT=run \
		run/digits.h5
	assert_success
	assert_file_not_empty run/digits.h5
}

@test "every man page is well-formed" {
	command -v mandoc > /dev/null || skip 'no mandoc'
	for page in "$ROOT"/man/*.[157]; do
		run mandoc -T lint -W error "$page"
		assert_success
	done
}

@test "every tool has a man page" {
	for t in "$ROOT"/tools/sd-*.c; do
		t=${t##*/}
		assert_file_exists "$ROOT/man/${t%.c}.1"
	done
}

@test "a tarball without git builds, and other flags build everything again" {
	copy
	run in_copy -j2 build/bin/sd-lr
	assert_success
	run copy/build/bin/sd-lr --version
	assert_output --partial "$(cat "$ROOT/VERSION")"
	run grep sd_build_commit copy/build/gen/buildinfo.c
	assert_output 'const char sd_build_commit[] = "";'
	run in_copy build/bin/sd-lr
	assert_success
	refute_output --partial CC
	run in_copy build/lib/base/err.o OPT=-O1
	assert_success
	assert_output --partial 'CC    build/lib/base/err.o'
}

@test "what is missing is named" {
	copy
	run in_copy deps CC=no-such-compiler NO_DEPS=1
	assert_success
	assert_output --partial 'missing packages: gcc'
	run in_copy CC=no-such-compiler
	assert_failure
	assert_output --partial 'missing: no-such-compiler'
	assert_output --partial 'make deps'
}

@test "hardened programs" {
	command -v readelf > /dev/null || skip 'no readelf'
	for t in "$BUILD"/bin/sd-*; do
		run readelf -hlds --wide "$t"
		assert_success
		assert_line --regexp 'Type: +DYN'
		assert_line --regexp 'GNU_RELRO'
		assert_line --regexp 'FLAGS.*BIND_NOW|FLAGS_1.*NOW'
		assert_line --regexp 'GNU_STACK .* RW '
		assert_line --regexp '__stack_chk_fail'
		if make -C "$ROOT" -s BUILD="$BUILD" print-config | grep -q 'hardening.*FORTIFY_SOURCE=2'; then
			assert_line --regexp '_chk@'
		fi
	done
}
