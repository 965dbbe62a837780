# The bundle of `make bundle`, where it has been made; none of these tests makes it.

load setup

bundle_setup() {
	bundle=$BUILD/bundle/sharpdarts
	[ -x "$bundle/libexec/sharpdarts" ] || skip 'make bundle has not been run'
}

# Everything that a program of the bundle loads, as its own loader finds it: lines `NAME => FILE`.
loaded() {
	env -i "$bundle/lib/ld-linux-x86-64.so.2" --library-path "$bundle/lib" --list "$1"
}

@test "the tools start in an empty environment, from another folder, through a link" {
	bundle_setup
	for t in "$bundle"/bin/*; do
		run env -i "$t" --version
		assert_success
		assert_output --partial "${t##*/} (sharpdarts)"
	done
	ln -s "$bundle/bin/sd-dot" drawing
	ln -s drawing again
	run env -i ./again DARTS_V2
	assert_success
	assert_output --partial digraph
	run env -i PATH="$bundle/bin:/usr/bin:/bin" sh -c 'cd / && sd-lr --epochs 3'
	assert_success
	assert_line --index 3 --regexp '^3'
}

@test "a folder that was moved, with a space in its name, does the same as the build" {
	bundle_setup
	cp -r "$bundle" 'other place'
	env -i 'other place/bin/sd-prep' digits "$DIGITS" -o one.h5
	digits two.h5
	assert_equal "$(payload one.h5)" "$(payload two.h5)"
	for tool in 'other place/bin/sd-search' sd-search; do
		env HOME=/nonexistent "$tool" --data one.h5 --device cpu --layers 2 --layers_in_cells 1 --init_channels 4 \
			--epochs 1 --limit_batches 2 --force -q -o search.h5
		payload search.h5
	done > payloads
	assert_equal "$(uniq payloads | wc -l)" 1
}

@test "nothing is loaded from outside the folder" {
	bundle_setup
	for file in "$bundle/libexec/sharpdarts" "$bundle"/lib/*.so* "$bundle"/lib/sharpdarts/*.so; do
		[ -e "$file" ] || continue
		run loaded "$file"
		refute_output --partial 'not found'
		refute_line --regexp '=> /(usr/)?lib'
	done
	run "$bundle/lib/ld-linux-x86-64.so.2" --library-path "$bundle/lib" --list "$bundle/libexec/sharpdarts"
	assert_output --regexp "=> $bundle/lib/libcrypto"
}

@test "the bundle runs where there is nothing but a shell" {
	bundle_setup
	[ "$(id -u)" = 0 ] || unshare -r true 2>/dev/null || skip 'only root can change its root folder here'
	as_root=
	[ "$(id -u)" = 0 ] || as_root='unshare -r'
	mkdir -p root/bin root/tmp root/proc root/shell
	cp -r "$bundle" root/there
	# the shell and what it needs, apart from the bundle's libraries
	cp /bin/sh root/shell/sh
	for lib in $(ldd /bin/sh | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'); do
		mkdir -p "root${lib%/*}"
		cp "$lib" "root$lib"
	done
	ln -s ../shell/sh root/bin/sh
	run $as_root chroot root /there/bin/sd-lr --epochs 3
	assert_success
	# the genotypes and the engine are found by the name of the running program, which /proc knows
	cat > inside <<-'END'
		mount -t proc proc root/proc || exit 99
		chroot root /there/bin/sd-dot DARTS_V2 && chroot root /there/bin/sd-prep digits \
			/there/share/sharpdarts/data/digits.csv.gz -o /tmp/digits.h5
	END
	run unshare $([ "$(id -u)" = 0 ] || echo -r) -m -p -f sh inside
	[ "$status" != 99 ] || skip 'there can be no /proc in another root folder here'
	assert_success
	assert_output --partial digraph
	assert_file_not_empty root/tmp/digits.h5
}

@test "without a GPU, --device cuda is exit 69 and leaves nothing" {
	bundle_setup
	[ ! -e /dev/nvidiactl ] || skip 'there is a GPU'
	digits digits.h5 -q
	run env -i "$bundle/bin/sd-search" --data digits.h5 --device cuda -o search.h5
	assert_failure 69
	[ -e "$bundle/lib/sharpdarts/engine-cuda.so" ] && assert_output --partial 'no CUDA device'
	assert_file_not_exist search.h5
	assert_file_not_exist search.h5.ckpt
	for program in check-gpu bench-gpu; do
		run "$bundle/$program"
		assert_failure 69
		assert_output --partial "$program: no CUDA"
	done
	run "$bundle/tests/bin/bench_step" --device cuda
	assert_failure 69
}

@test "launches and memory of a step are told without a GPU" {
	bundle_setup
	[ -e "$bundle/lib/sharpdarts/engine-cuda.so" ] || skip 'the bundle has no CUDA engine'
	run "$bundle/bench-gpu" --plan --quick
	assert_success
	assert_equal "${#lines[@]}" 13
	assert_line --index 0 "$(printf 'mode\tarch\tprecision\tbatch\tlaunches\tarena_MiB')"
	assert_line --index 1 --regexp "^search.-.fp32.8.[1-9][0-9]+.[0-9]+$"
}

@test "size, licences, and what it was built of" {
	bundle_setup
	assert [ "$(du -sb "$bundle" | cut -f1)" -lt 30000000 ]
	assert_file_not_empty "$bundle.tar.gz"
	for package in libc6 libhdf5-dev libarchive-dev libstdc++6 zlib1g; do
		assert_file_not_empty "$bundle/licences/$package"
	done
	run cat "$bundle/BUILD"
	assert_output --partial "version	$(cat "$ROOT/VERSION")"
}

@test "cuBLASLt and cuDNN are found in Python packages" {
	headers=/usr/local/cuda/include
	[ -e $headers/cudnn.h ] && [ -e $headers/cublasLt.h ] || skip 'no CUDA headers'
	# doubles of the libraries: every function that is looked for, and a version; under names of their own,
	# for the true ones may be in the system, which comes first
	functions() {
		sed -n "/define SD_$1_FUNCTIONS/,/[^\\\\]\$/s/.*X(\([A-Za-z0-9]*\)).*/\1/p" \
			"$ROOT/lib/engine/cuda/libs.h"
	}
	fake() { # fake NAME VERSION-FUNCTION VERSION FOLDER FILE
		functions "$1" | sed "/^$2\$/d; s/.*/void &(void) {}/" > fake.c
		echo "unsigned long $2(void) { return $3; }" >> fake.c
		mkdir -p "$4"
		gcc -shared -fPIC -w fake.c -o "$4/$5"
	}
	fake CUBLASLT cublasLtGetVersion 130000 env/lib/python3.12/site-packages/nvidia/cu13/lib libdouble-cublasLt.so.13
	fake CUDNN cudnnGetVersion 91000 env/lib/python3.12/site-packages/nvidia/cudnn/lib libdouble-cudnn.so.9
	cat > main.c <<-'END'
		#include <stdio.h>
		#include "engine/cuda/libs.h"
		#include "base/err.h"
		int main(void)
		{
			const struct sd_cublaslt *lt = sd_libs_cublaslt();
			const struct sd_cudnn *dnn = sd_libs_cudnn();
			if (!lt || !dnn)
				return printf("%s\n", sd_error_text()), 1;
			printf("%zu %zu\n", lt->cublasLtGetVersion(), dnn->cudnnGetVersion());
			return 0;
		}
	END
	sed 's/"lib\(cublasLt\|cudnn\)\.so/"libdouble-\1.so/' "$ROOT/lib/engine/cuda/libs.c" > libs.c
	gcc -D_GNU_SOURCE -I"$ROOT/lib" -isystem $headers main.c libs.c "$BUILD/libsharpdarts.a" -o main -ldl -lm -pthread
	run env VIRTUAL_ENV="$PWD/env" ./main
	assert_success
	assert_output '130000 91000'
	folders=$(echo "$PWD"/env/lib/python3.12/site-packages/nvidia/*/lib | tr ' ' :)
	run env -u VIRTUAL_ENV LD_LIBRARY_PATH="$folders" ./main
	assert_output '130000 91000'
	run env -u VIRTUAL_ENV ./main
	assert_failure
	assert_output --partial 'cannot find cuDNN'
	# of a version that isn't known
	fake CUDNN cudnnGetVersion 80900 env/lib/python3.12/site-packages/nvidia/cudnn/lib libdouble-cudnn.so.9
	run env VIRTUAL_ENV="$PWD/env" ./main
	assert_failure
	assert_output --partial 'cuDNN is of version 80900'
}
