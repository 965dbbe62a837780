# The schema of manifests against manifests of every kind, records, and the recorded ones.

load setup

# schema: checks the manifests on standard input.
schema() {
	/usr/bin/python3 "$ROOT/tests/bats/schema.py" "$ROOT/manifests/manifest.schema.json"
}

# manifests RECORD...: all that are in them, one a line.
manifests() {
	sed -n 's/^# sd-manifest //p' "$@"
}

# Every kind, in a folder: runs of all tools, a checkpoint, and one without a context.
all_kinds() {
	digits digits.h5 -q --note who=me --limit-train 200
	colours colours.h5
	sd-search --data digits.h5 --epochs 3 --init_channels 2 --layers 2 --layers_in_cells 1 --batch_size 32 \
		--primitives DARTS_PRIMITIVES --limit-batches 2 -q -o search.h5
	sd-search --data digits.h5 --epochs 30 --init_channels 2 --layers 2 --layers_in_cells 1 --batch_size 32 \
		--primitives DARTS_PRIMITIVES -q -o more.h5 --max_time 0.000001 || true
	sd-derive search.h5 --name A -o a.genotype
	sd-derive --random 1 -o b.genotype
	for arch in ./a.genotype ./b.genotype; do
		sd-train --arch $arch --data digits.h5 --epochs 2 --init_channels 4 --layers 3 --batch_size 32 \
			--limit-batches 2 --also digits.h5 -q -o model.h5 --force
	done
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 1 --init_channels 4 --layers 3 --limit-batches 1 -q -o bare.h5 \
		--context none
	sd-eval -q model.h5 digits.h5 -o eval.h5 > eval.tsv
}

@test "manifests of every kind are as the schema has them" {
	/usr/bin/python3 -c '' || skip 'no Python'
	all_kinds
	for f in *.h5 *.ckpt *.genotype; do
		sd-verify --canonical $f
	done > all
	assert_equal "$(wc -l < all)" 9
	run schema < all
	assert_success
	assert_output '9 checked, 0 problems'
	# it names all that there is
	/usr/bin/python3 - "$ROOT/manifests/manifest.schema.json" <<-'EOS'
	import json, sys
	halves = json.load(open(sys.argv[1]))['properties']
	for line in open('all'):
	    for half, members in json.loads(line).items():
	        unknown = set(members) - set(halves[half]['properties'])
	        assert not unknown, (half, unknown)
	EOS
	# and would find what is wrong
	sd-verify --canonical digits.h5 > one
	for wrong in 's/"complete":true/"complete":1/' 's/"kind":"/"kind":"x/' 's/"payload":"./"payload":"/' \
		's/"tool":"sd/"tool":"Sd/' 's/"claim":{/"claim":{"more":"x",/' 's/"context":{/"other":{/' \
		's/"version":"/"version":1,"x":"/' 's/"size":/"size":-/'; do
		sed "$wrong" one > changed
		run cmp -s one changed
		assert_failure
		run schema < changed
		assert_failure
	done
}

@test "a record is checked like an artifact" {
	all_kinds
	sd-verify --record eval.h5 > eval.record
	run sd-verify eval.record
	assert_success
	assert_output 'eval.record: OK'
	# an evaluation, a model, a genotype and a data set (b.genotype is a random one)
	assert_equal "$(manifests eval.record | wc -l)" 4
	sd-verify --record eval.record | cmp - eval.record
	sd-verify --record - < eval.record | cmp - eval.record
	assert_equal "$(sd-verify --chain eval.record | sed 1d)" "$(sd-verify --chain eval.h5 | sed 1d)"
	assert_equal "$(sd-verify --canonical eval.record)" "$(sd-verify --canonical eval.h5)"
	for wrong in 's/"epochs":2/"epochs":3/' '1s/"complete":true/"complete":false/' '/sd-seal/d' '2d' '1d' \
		's/sd-seal ./sd-seal x/' 's/"version":"[^"]*"/"version":"2"/'; do
		sed "$wrong" eval.record > wrong.record
		run sd-verify wrong.record
		assert_failure
		refute_output --partial OK
	done
	# another's line
	{ sed -n 1p eval.record; sd-verify --record search.h5; } > wrong.record
	run sd-verify wrong.record
	assert_failure
}

@test "the recorded manifests are whole, fit each other, and are as the schema has them" {
	/usr/bin/python3 -c '' || skip 'no Python'
	records=$(ls "$ROOT"/manifests/*/*.record)
	run sd-verify -q $records
	assert_success
	assert_output ''
	manifests $records > all
	run schema < all
	assert_success
	# nothing of a machine is in them
	run grep -c '"context":{}' all
	assert_output "$(wc -l < all)"
	# and the payloads of the quickstart are those that its pipeline compares with
	for payload in $(cut -f 2 "$ROOT/manifests/quickstart.tsv"); do
		grep -q "\"payload\":\"$payload\"" all
	done
}

@test "a record is enough to make everything again, where the raw file is" {
	all_kinds
	gzip -dc "$DIGITS" | sed '$d' | gzip -n > own.csv.gz
	sd-prep digits own.csv.gz -q -o own.h5 --context none
	sd-train --arch ./b.genotype --data own.h5 --epochs 1 --init_channels 4 --layers 3 --limit-batches 1 -q -o own-model.h5 \
		--context none
	sd-verify --record eval.h5 > eval.record
	sd-verify --record own-model.h5 > own.record
	mkdir raw empty
	mv own.csv.gz raw
	rm ./*.h5 ./*.genotype
	run sd-verify -q --rerun --chain --search_path raw eval.record own.record
	assert_success
	assert_equal "$(grep -c BITWISE <<< "$output")" 6
	run sd-verify -q --rerun --chain --search_path empty own.record
	assert_failure 2
	assert_output --partial UNTRIED
	assert_output --partial 'was not found'
}
