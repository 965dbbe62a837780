load setup

# The fixture has 3 epochs of 4 nodes; the last has the published weights of SHARPER_SCALAR.
fixture() {
	"$BUILD/tests/test_genofile" --write "${1:-search.h5}"
}

literal() {
	grep -v '^#' "$1" | sed 's/^[^(]*= //'
}

@test "derive: the published weights give the published genotype" {
	fixture
	sd-derive search.h5 > out
	assert_equal "$(literal out)" "$(literal "$ROOT/genotypes/SHARPER_SCALAR.genotype")"
	sd-derive --allow-none search.h5 > none
	assert_equal "$(literal none)" "$(literal "$ROOT/genotypes/SHARPER_SCALAR_genotype_no_hack.genotype")"
}

@test "derive: comments carry the search's id, epoch and manifests" {
	fixture
	sd-derive search.h5 --name MINE > out
	run head -n 2 out
	assert_line -n 0 "# search $(artifact_id search.h5)"
	assert_line -n 1 --regexp "^# epoch 3 of 3, 'none' skipped, primitives SHARPER_PRIMITIVES"
	assert_equal "$(grep -c '^# sd-manifest ' out)" 2
	assert_equal "$(grep -c '^# sd-seal ' out)" 1
	run tail -n 1 out
	assert_output --regexp '^MINE = Genotype\(normal=.*, layout=.cell.\)$'
}

@test "derive: from a pipe, and into a file" {
	fixture
	sd-derive --context none search.h5 > a
	sd-derive --context none - < search.h5 > b
	cat search.h5 | sd-derive --context none > c
	sd-derive --context none search.h5 -o d
	cmp a b
	cmp a c
	cmp a d
}

@test "derive: an earlier epoch; the last one by number is the same run" {
	fixture
	sd-derive --context none search.h5 > last
	sd-derive --context none --epoch 3 search.h5 > third
	cmp last third
	sd-derive --epoch 1 search.h5 > first
	run literal first
	refute_output "$(literal last)"
	for n in 4 -1 x; do
		run sd-derive --epoch $n search.h5
		assert_failure 64
	done
}

@test "derive: --all prints a table" {
	fixture
	sd-derive --all search.h5 > table
	assert_equal "$(columns table | tr '\n' ' ')" "epoch genotype "
	assert_equal "$(wc -l < table)" 4
	sd-derive search.h5 > last
	assert_equal "$(sed -n 4p table)" "$(printf '3\t%s' "$(literal last)")"
	sd-derive --all search.h5 -o table2
	cmp table table2
	run sd-derive --all search.h5 -o table2
	assert_failure 64
	sd-derive --all --force search.h5 -o table2
	run sd-derive --all --epoch 1 search.h5
	assert_failure 64
}

@test "derive: another run's file is kept unless forced" {
	fixture
	sd-derive search.h5 -o x.genotype
	sd-derive search.h5 -o x.genotype
	run sd-derive --epoch 1 search.h5 -o x.genotype
	assert_failure 64
	assert_output --partial "--force"
	sd-derive search.h5 > last
	assert_equal "$(literal x.genotype)" "$(literal last)"
	sd-derive --epoch 1 --force search.h5 -o x.genotype
	run literal x.genotype
	refute_output "$(literal last)"
}

@test "derive: what can't be used is refused and nothing is left" {
	fixture
	mkdir work && cd work
	run sd-derive ../missing.h5 -o out
	assert_failure 66
	echo nonsense > text
	run sd-derive text -o out
	assert_failure 65
	assert_output --partial text
	cp ../search.h5 flipped.h5
	flip flipped.h5 3000
	run sd-derive flipped.h5 -o out
	assert_failure 65
	head -c 4000 ../search.h5 > short.h5
	run sd-derive short.h5 -o out
	assert_failure 65
	run sd-derive ../search.h5 --name '9 lives' -o out
	assert_failure 64
	run sd-derive ../search.h5 ../search.h5
	assert_failure 64
	assert_equal "$(ls -A | tr '\n' ' ')" "flipped.h5 short.h5 text "
}

@test "derive: a genotype changed under its manifest is refused by its reader" {
	fixture
	sd-derive search.h5 > x.genotype
	sd-dot x.genotype > /dev/null
	sed "/^genotype/s/'skip_connect', 0/'skip_connect', 1/" x.genotype > y.genotype
	run sd-dot y.genotype
	assert_failure 65
	assert_output --partial "y.genotype: the genotype is not the one that its manifest was made for"
	grep -v '^# sd-manifest' x.genotype > z.genotype
	run sd-dot z.genotype
	assert_failure 65
}

@test "derive: --random draws from the space, the same for the same seed" {
	sd-derive --random 5 --context none > a
	sd-derive --random 5 --context none > b
	cmp a b
	sd-derive --random 6 > c
	run literal c
	refute_output "$(literal a)"
	sd-dot --title '' ./a > /dev/null
	# every primitive but none occurs, no node has one input twice, and inputs come before the node
	for i in $(seq 60); do
		sd-derive --random $i --primitives none,skip_connect,sep_conv_3x3,max_pool_3x3 --layers_in_cells 5
	done | grep -o "\[('[^]]*\]" > cells
	assert_equal "$(wc -l < cells)" 120
	tr -d "[]()' " < cells | awk -F , '{
		for (i = 0; i < 5; i++) {
			a = $(4 * i + 2); b = $(4 * i + 4)
			if (a >= b || b > 1 + i) bad++
			op[$(4 * i + 1)]++; op[$(4 * i + 3)]++
			if (a == 0) zero[i]++
		} } END {
		# each of 3 primitives 400 times of 1200, node 4 has input 0 in a third of 120 cells
		for (o in op) { n++; if (op[o] < 330 || op[o] > 470) bad++ }
		if (zero[4] < 22 || zero[4] > 58) bad++
		exit n != 3 || bad || "none" in op }'
}

@test "derive: --random takes the space of a search, and nothing else of it" {
	fixture
	sd-derive --context none --random 2 search.h5 > a
	sd-derive --context none --random 2 --primitives SHARPER_PRIMITIVES --layers_in_cells 4 > b
	cmp a b
	sd-derive --context none --random 2 --layers_in_cells 3 search.h5 > c
	grep -q 'normal_concat=range(2, 5)' c
	run grep -c '^# sd-manifest ' a
	assert_output 1
	sd-derive --random 2 -o r.genotype
	sd-derive --random 2 -o r.genotype
	run sd-derive --random 3 -o r.genotype
	assert_failure 64
	for wrong in '--random 2 --all search.h5' '--random 2 --epoch 1 search.h5' '--random x' \
		'--random 1 --primitives none' '--primitives DARTS_PRIMITIVES search.h5' '--random 1 --layers_in_cells 0'; do
		run sd-derive $wrong
		assert_failure 64
	done
}
