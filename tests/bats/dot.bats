load setup

DARTS=$ROOT/genotypes/DARTS_V2.genotype

# The pairs that an edge of DOT text ties, sorted.
edges() {
	grep -oE '"[^"]+" -> "[^"]+"' "${1:--}" | tr -d '"' | sort
}

@test "dot: nodes, edges and labels of a cell" {
	sd-dot --cell normal "$DARTS" > out
	run edges out
	assert_equal "${#lines[@]}" 12
	assert_line 'normal c_{k-2} -> normal 0'
	assert_line 'normal c_{k-1} -> normal 0'
	assert_line 'normal 0 -> normal 3'
	assert_line 'normal 3 -> normal out'
	run grep '"normal 0" -> "normal 3"' out
	assert_output --partial 'label="dil_conv_3x3"'
}

@test "dot: only concatenated nodes are tied to the output" {
	sd-dot "$ROOT/genotypes/AmoebaNet.genotype" | edges > out
	run grep out out
	assert_line 'normal 2 -> normal out'
	assert_line 'normal 4 -> normal out'
	refute_line 'normal 0 -> normal out'
	assert_line 'reduce 1 -> reduce out'
	refute_line 'reduce 3 -> reduce out'
}

@test "dot: both cells, one cell, a recurrent cell" {
	sd-dot "$DARTS" > both
	assert_equal "$(grep -c 'subgraph' both)" 2
	sd-dot --cell reduce "$DARTS" > one
	assert_equal "$(grep -c 'subgraph' one)" 1
	run grep -c normal one
	assert_output 0
	sd-dot "$ROOT/genotypes/RNN_DARTS.genotype" > rnn
	run edges rnn
	assert_line 'recurrent h_{t-1} -> recurrent 0'
	assert_line 'recurrent 0 -> recurrent 1'
	run sd-dot --cell normal "$ROOT/genotypes/RNN_DARTS.genotype"
	assert_failure 64
}

@test "dot: Graphviz draws every published genotype" {
	command -v dot > /dev/null || skip "no Graphviz"
	for g in "$ROOT"/genotypes/*.genotype; do
		sd-dot "$g" | dot -Tsvg > out.svg
		grep -q '</svg>' out.svg
	done
}

@test "dot: from standard input, and by name" {
	sd-dot "$DARTS" > file
	sd-dot < "$DARTS" | cmp file -
	cat "$DARTS" | sd-dot - | cmp file -
	cp "$DARTS" my.genotype
	sd-dot my.genotype | cmp file -
	sd-dot ./my.genotype -o out
	cmp file out
	run sd-dot ./my.genotype -o out
	assert_failure
	sd-dot ./my.genotype --force -o out
	if sd-dot DARTS_V2 > named; then
		cmp file named
	else
		[ "$BUILD" != "$ROOT/build" ] # a build elsewhere may not know the folder
	fi
	run sd-dot NO_SUCH
	assert_failure 66
	assert_output --partial "NO_SUCH"
}

@test "dot: a search artifact, also through pipes" {
	"$BUILD/tests/test_genofile" --write search.h5
	sd-derive search.h5 --name x | sd-dot --title '' > a
	sd-dot --title '' search.h5 > b
	cmp <(edges a) <(edges b)
	cat search.h5 | sd-dot --title '' | cmp b -
	sd-dot --title '' - < search.h5 | cmp b -
	run sd-dot --epoch 2 search.h5
	assert_success
	assert_output --partial 'label="epoch 2 of 3"'
	run sd-dot --epoch 4 search.h5
	assert_failure 64
	run sd-dot --epoch 2 "$DARTS"
	assert_failure 64
	sd-dot --allow-none search.h5 > none
	grep -q 'label="none"' none
}

@test "dot: a caption is quoted" {
	sd-dot --title 'a "b" \c' "$DARTS" > out
	grep -qF 'label="a \"b\" \\c";' out
	if command -v dot > /dev/null; then
		dot -Tsvg out > /dev/null
	fi
}

@test "dot: errors name file, line and column" {
	printf '# x\nA = Genotype(normal=[("sep_conv_9x9", 0)])\n' > bad.genotype
	run sd-dot bad.genotype
	assert_failure 65
	assert_output "sd-dot: ./bad.genotype:2:23: unknown primitive 'sep_conv_9x9'"
	run sd-dot < bad.genotype
	assert_failure 65
	assert_output "sd-dot: (stdin):2:23: unknown primitive 'sep_conv_9x9'"
	run sd-dot ./missing.genotype
	assert_failure 66
	: > empty.genotype
	run sd-dot empty.genotype
	assert_failure 65
	run sd-dot /
	assert_failure
}
