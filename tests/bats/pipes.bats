# The README's tour: tools in pipes, on small data.

load setup

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	PATH=${BUILD:-build}/bin:$PATH
	case ${BUILD:-build} in /*) ;; *) PATH=$BATS_TEST_DIRNAME/../../${BUILD:-build}/bin:$PATH ;; esac
	sd-prep digits "$BATS_TEST_DIRNAME/../../share/data/digits.csv.gz" -q -o digits.h5
	sd-search $(small_search) -q --data digits.h5 -o search.h5
}

small_search() {
	echo --init-channels 4 --layers-of-cells 3 --layers-in-cells 2 --batch_size 64 --epochs 2 \
		--limit-batches 3 --primitives DARTS_PRIMITIVES
}

small_train() {
	echo --layers 3 --init-channels 4 --batch_size 64 --epochs 2 --limit-batches 3
}

here() {
	ln -sf "$BATS_FILE_TMPDIR"/*.h5 .
}

@test "a search flows into a picture" {
	here
	run bash -o pipefail -c "sd-search $(small_search) -q --data digits.h5 -o - |
		sd-derive - | sd-dot | dot -Tsvg"
	assert_success
	assert_output --partial '<svg'
	assert_output --partial 'normal cell'
}

@test "a search on standard output is the one in a file" {
	here
	sd-search $(small_search) -q --data digits.h5 --context none -o - > stream.h5
	sd-search $(small_search) -q --data digits.h5 --context none -o file.h5
	cmp stream.h5 file.h5
	assert_equal "$(artifact_id file.h5)" "$(artifact_id search.h5)"
}

@test "a genotype flows from derivation into training, and the model into evaluation" {
	here
	sd-derive search.h5 > cell.genotype
	sd-train $(small_train) -q --arch ./cell.genotype --data digits.h5 -o file.h5
	sd-derive search.h5 | sd-train $(small_train) -q --arch - --data digits.h5 -o - |
		sd-eval - digits.h5 > from-pipe
	sd-eval file.h5 digits.h5 > from-file
	cmp from-pipe from-file
	run columns from-file
	assert_line measure
	assert_line value
}

@test "the cell of every epoch" {
	here
	run sd-derive --all search.h5
	assert_success
	assert_line --index 0 "$(printf 'epoch\tgenotype')"
	assert_line --index 2 --regexp '^2	.*Genotype\(normal='
	assert_equal "${#lines[@]}" 3
}

@test "seeds become one row" {
	here
	for i in 1 2; do
		sd-train $(small_train) -q --arch DARTS_V2 --data digits.h5 --seed $i -o run-$i.h5
	done
	run sd-collect run-*.h5
	assert_success
	assert_equal "${#lines[@]}" 2
	assert_equal "$(echo "${lines[1]}" | cut -f 4)" 2
	run sd-collect --metric error --format markdown run-*.h5
	assert_success
	assert_output --regexp '[0-9]\.[0-9]+\+/-[0-9]+\.[0-9]+'
}

@test "the schedule draws a chart" {
	run gnuplot -e "set terminal svg; plot for [o in '1 10'] '< sd-lr --epochs 60 --exponent_order '.o \
		using 1:2 with lines title 'order '.o"
	assert_success
	assert_output --partial 'order 10'
}

@test "where a result came from" {
	here
	sd-derive search.h5 > cell.genotype
	sd-train $(small_train) -q --arch ./cell.genotype --data digits.h5 -o model.h5
	sd-eval -q model.h5 digits.h5 -o eval.h5 > eval.tsv
	run sd-verify digits.h5 search.h5 cell.genotype model.h5 eval.h5
	assert_success
	run sd-verify --chain eval.h5
	assert_success
	assert_output --partial "$(sha256sum < "$DIGITS" | cut -d' ' -f1)"
	assert_output --partial "$(artifact_id search.h5)"
}
