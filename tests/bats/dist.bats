# The source as a tarball: what it says it is, that it is always the same, and that two builds of it are the same
# bits.  `make reproducible-build` compares all there is, here one tool for the plain code path is.

load setup

# A repository of its own with the files of this tree; nothing when there is no git.
repository() {
	command -v git > /dev/null || skip 'no git'
	mkdir "$1"
	tar -C "$ROOT" -cf - Makefile VERSION .gitignore mk lib tools kernels genotypes pipelines share man | tar -C "$1" -xf -
	(cd "$1" && git init -q . && git add -A && git -c user.name=n -c user.email=e commit -qm start)
}

# told FILE NAME: what a buildinfo.c or the file DIST says.
told() {
	sed -n "s/.*sd_build_$2\\[\\] = \"\\(.*\\)\";/\\1/p; s/^$2 //p" "$1"
}

@test "a tarball says what it is of, and is the same whoever packs it" {
	repository tree
	cd tree
	make -s dist BUILD=../one
	touch -d 2001-01-01 lib/base/*.c
	(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 make -s dist BUILD=../two)
	name=sharpdarts-$(cat VERSION)
	cmp ../one/dist/$name.tar.gz ../two/dist/$name.tar.gz
	tar -xzf ../one/dist/$name.tar.gz -C ..
	mk/buildinfo ../tree.c "$(cat VERSION)" gcc ''
	cd ../$name
	assert_equal "$(told DIST commit)" "$(git -C ../tree rev-parse HEAD)"
	assert_equal "$(told DIST dirty)" ''
	mk/buildinfo ../packed.c "$(cat VERSION)" gcc ''
	cmp ../tree.c ../packed.c
	# changed since: not what the commit has
	echo '/* changed */' >> lib/base/err.c
	mk/buildinfo ../packed.c "$(cat VERSION)" gcc ''
	assert_equal "$(told ../packed.c commit)" "$(told DIST commit)"
	[[ "$(told ../packed.c dirty)" =~ ^[0-9a-f]{64}$ ]]
	assert_not_equal "$(told ../packed.c source)" "$(told DIST source)"
}

@test "changes that are not committed are packed and named" {
	repository tree
	cd tree
	echo '/* changed */' >> lib/base/err.c
	echo '/* new */' > lib/base/new.h
	rm lib/base/hd.h
	run make -s dist BUILD=build
	assert_success
	assert_output --partial 'with changes that are not committed'
	mk/buildinfo ../tree.c "$(cat VERSION)" gcc ''
	name=sharpdarts-$(cat VERSION)
	tar -xzf build/dist/$name.tar.gz -C ..
	assert_file_exists ../$name/lib/base/new.h
	assert_file_not_exists ../$name/lib/base/hd.h
	cd ../$name
	mk/buildinfo ../packed.c "$(cat VERSION)" gcc ''
	cmp ../tree.c ../packed.c
	[[ "$(told DIST dirty)" =~ ^[0-9a-f]{64}$ ]]
}

@test "what git ignores is not packed, nor built of" {
	repository tree
	cd tree
	echo 'int x;' > lib/base/x.tmp
	run make -s dist BUILD=build
	assert_failure
	assert_output --partial 'files in lib, tools or kernels that git ignores'
	rm lib/base/x.tmp
	rm -rf .git
	run make -s dist BUILD=build
	assert_failure
	assert_output --partial 'no git work tree'
}

@test "two builds of a tarball are the same bits, and of the same source" {
	repository tree
	cd tree
	run make -s reproducible-build BUILD=build ARGS='ISAS=generic OPT=-O0 CUDA=none NO_DEPS=1 build/bin/sd-lr'
	assert_success
	assert_line --partial ' ./bin/sd-lr'
	assert_line --regexp '^[0-9]+ files, [0-9]+ of them objects, the same bits twice$'
	assert_equal "$(ls build)" dist
}
