# The pipeline of the quickstart at a tenth of its size: what it leaves, what it makes again, and that
# its results are the recorded ones, bit for bit, with any compiler, code path and number of threads.
# After a change that is meant to change numbers: RECORD=1 bats tests/bats/quickstart.bats

load setup

RECORDED=tests/bats/quickstart.payloads

pipeline() {
	make -s --no-print-directory -f "$ROOT/pipelines/quickstart.mk" BIN="$BUILD/bin" OUT=run RECORDED= \
		SEARCH='--init-channels 8 --layers-of-cells 3 --layers-in-cells 2 --batch_size 64 --epochs 2 \
			--primitives DARTS_PRIMITIVES' \
		TRAIN='--layers 3 --init-channels 8 --batch_size 64 --epochs 3 --drop_path_prob 0.1' \
		SEEDS='1 2' "$@"
}

@test "the pipeline leaves artifacts, table and pictures, and repeats bit for bit" {
	run pipeline
	assert_success
	assert_output --partial 'genotype: run/cell.genotype'
	for f in digits.h5 search.h5 cell.genotype model-1.h5 model-2.h5 eval-1.h5 eval-2.h5 results.tsv \
		normal.svg normal.png reduce.svg reduce.png curves.svg curves.png; do
		assert_file_not_empty "run/$f"
	done
	run columns run/results.tsv
	assert_line n
	assert_line mean
	assert_line std
	if [ -n "${RECORD:-}" ]; then
		cp run/payloads.tsv "$ROOT/$RECORDED"
	fi
	run diff "$ROOT/$RECORDED" run/payloads.tsv
	assert_success
}

@test "threads and code paths give the recorded results too" {
	for pair in 1:avx512 5:avx2 5:generic; do
		case $pair in
		*:avx512) grep -qw avx512bw /proc/cpuinfo || continue ;;
		*:avx2) grep -qw avx2 /proc/cpuinfo || continue ;;
		esac
		rm -rf run
		SD_CPU=${pair#*:} run pipeline THREADS=${pair%:*} run/payloads.tsv
		assert_success
		run diff "$ROOT/$RECORDED" run/payloads.tsv
		assert_success
	done
}

@test "a stage is run again only when what it depends on changed" {
	pipeline > log
	cp run/model-1.h5 before
	run pipeline
	assert_success
	refute_output --partial sd-
	cmp before run/model-1.h5
	touch -r run/search.h5 stamp
	run pipeline SEEDS='1 2 3'
	assert_success
	cmp before run/model-1.h5
	assert_file_exists run/model-3.h5
	assert_equal "$(tail -n 1 run/results.tsv | cut -f 4)" 3
	run pipeline TRAIN='--layers 3 --init-channels 8 --batch_size 64 --epochs 2 --drop_path_prob 0.1'
	assert_success
	assert [ ! run/search.h5 -nt stamp ]
	run cmp before run/model-1.h5
	assert_failure
}

@test "a published cell needs no search" {
	run pipeline ARCH=DARTS_V2 SEEDS=1
	assert_success
	assert_file_not_exists run/search.h5
	assert_file_contains run/cell.genotype 'DARTS_V2 = Genotype'
}
