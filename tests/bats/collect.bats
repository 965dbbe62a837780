load setup

train() {
	local out=$1
	shift
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 1 --init_channels 4 --layers 2 --limit-batches 3 -q -o "$out" "$@"
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
	for i in 1 2 3; do
		train $i.h5 --seed $i
	done
}

@test "collect: seeds of one recipe are one row, in any order" {
	sd-collect 1.h5 2.h5 3.h5 > a
	sd-collect 3.h5 1.h5 2.h5 > b
	cmp a b
	assert_equal "$(head -n 1 a)" "$(printf 'recipe\tarch\tdata\tn\tmean\tstd\tstderr\tmin\tmax\tbest_epoch')"
	assert_equal "$(wc -l < a)" 2
	assert_equal "$(tail -n 1 a | cut -f 2-4)" "$(printf 'DARTS_V2\tdigits\t3')"
	sd-collect --runs 1.h5 2.h5 3.h5 > runs
	awk -F '\t' 'NR == FNR { if (FNR > 1) { s += $5; q += $5 * $5; n++ } next }
		FNR == 2 { m = s / n; d = m - $5; e = sqrt((q - n * m * m) / (n - 1)) - $6
			exit d * d > 1e-7 || e * e > 1e-6 || $4 != 3 }' runs a
}

@test "collect: other parameters are other rows, and --by names them" {
	train wide.h5 --seed 1 --init_channels 8
	run sd-collect --by init_channels --by seed 1.h5 2.h5 3.h5 wide.h5
	assert_success
	assert_equal "${#lines[@]}" 5
	assert_line -n 0 --partial "$(printf 'data\tinit_channels\tseed\tn')"
	run sd-collect --by init_channels 1.h5 2.h5 3.h5 wide.h5
	assert_equal "${#lines[@]}" 3
}

@test "collect: evaluations by the model's seed" {
	for i in 1 2 3; do
		sd-eval $i.h5 digits.h5 -q -o e$i.h5 > /dev/null
	done
	run sd-collect e1.h5 e2.h5 e3.h5
	assert_success
	assert_equal "${#lines[@]}" 2
	assert_equal "$(echo "${lines[1]}" | cut -f 4)" 3
	assert_equal "$(echo "${lines[1]}" | cut -f 5-)" "$(sd-collect 1.h5 2.h5 3.h5 | tail -n 1 | cut -f 5-)"
}

@test "collect: the same run counts once and is said to" {
	cp 1.h5 again.h5
	run sd-collect 1.h5 again.h5 2.h5
	assert_success
	assert_output --partial "again.h5: the same run as 1.h5, counted once"
	assert_equal "$(sd-collect -q 1.h5 again.h5 2.h5 | tail -n 1 | cut -f 4)" 2
}

@test "collect: another result of the same recipe and seed is irreproducible" {
	"$BUILD/tests/test_stats" --write a.h5 1 97
	"$BUILD/tests/test_stats" --write b.h5 2 98
	"$BUILD/tests/test_stats" --write c.h5 2 98.5
	sd-collect a.h5 b.h5
	run sd-collect -q a.h5 b.h5 c.h5
	assert_failure 1
	assert_output --partial "c.h5: irreproducible: the recipe and the seed of b.h5 with another result"
	assert_output --partial "$(printf 'made\t2\t97.5000')"
}

@test "collect: formats and metrics" {
	run sd-collect --format markdown --metric error 1.h5 2.h5 3.h5
	assert_success
	assert_line -n 1 --regexp '^\| --- '
	assert_line -n 2 --regexp '\| [0-9.]+\+/-[0-9]+\.[0-9][0-9] \|'
	sd-collect --format json 1.h5 2.h5 3.h5 > j
	sd-collect --format json --runs --metric loss 1.h5 2.h5 3.h5 > k
	/usr/bin/python3 - <<-'EOS'
	import json, statistics as s
	j, k = json.load(open('j')), json.load(open('k'))
	assert len(j) == 1 and j[0]['n'] == 3 and len(k) == 3
	assert [r['seed'] for r in k] == ['1', '2', '3'] and all(0 < r['value'] < 100 for r in k)
	EOS
	run sd-collect 1.h5
	assert_equal "$(echo "${lines[1]}" | cut -f 6)" -
}

@test "collect: what can't be believed is refused" {
	flip 2.h5 4000 3
	run sd-collect 1.h5 2.h5
	assert_failure 65
	assert_output --partial 2.h5
	run sd-collect digits.h5
	assert_failure 65
	assert_output --partial "where a model or an eval was expected"
	run sd-collect
	assert_failure 64
}
