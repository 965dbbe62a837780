load setup

# offset FILE TEXT: where the text stands first.
offset() {
	grep -abo -m 1 -F -e "$2" "$1" | head -n 1 | cut -d : -f 1
}

# reseal FILE: a forger's work, a user block that fits what follows it.
reseal() {
	local line
	line="$(head -c 512 "$1" | sed 's/ sha256=.*//') sha256=$(tail -c +513 "$1" | sha256sum | cut -c 1-64)"
	line="$line check=$(printf %s "$line" | sha256sum | cut -c 1-64)"
	printf '%-511s\n' "$line" | dd of="$1" conv=notrunc status=none
}

search() {
	"$BUILD/tests/test_genofile" --write "${1:-search.h5}"
}

@test "verify: what is as it should be" {
	digits d.h5 -q
	search
	sd-derive search.h5 > x.genotype
	run sd-verify d.h5 search.h5 x.genotype
	assert_success
	assert_output "d.h5: OK
search.h5: OK
x.genotype: OK"
	run sd-verify -q d.h5
	assert_success
	assert_output ""
	run bash -c 'cat d.h5 | sd-verify -'
	assert_success
	assert_output "(stdin): OK"
	run bash -c 'sd-verify - < x.genotype'
	assert_success
	run sd-verify <(cat d.h5)
	assert_failure 2
	assert_output --partial "(- is for streams)"
}

@test "verify: one flipped bit, anywhere" {
	digits d.h5 -q --limit-train 20 --limit-test 10
	local size at bad=
	size=$(stat -c %s d.h5)
	for at in $(seq 0 17 511) $(seq 512 997 $((size - 1))) $((size - 1)); do
		flip d.h5 "$at" $((at % 8))
		run sd-verify d.h5
		[ "$status" = 1 ] || [ "$status" = 2 ] || bad="$bad $at:$status"
		[ "$at" -lt 11 ] || [ "$status" = 1 ] || bad="$bad $at:$status"
		flip d.h5 "$at" $((at % 8))
	done
	assert_equal "$bad" ""
	run sd-verify d.h5
	assert_success
}

@test "verify: behind a recomputed outer hash, what changed is named" {
	digits d.h5 -q --note who=me
	local text delta said at n=0
	while IFS='|' read -r text delta said; do
		cp d.h5 forged.h5
		at=$(offset forged.h5 "$text")
		[ -n "$at" ] || fail "no '$text' in the file"
		flip forged.h5 $((at + delta)) 0
		reseal forged.h5
		run sd-verify forged.h5
		assert_failure 1
		assert_line --partial "forged.h5: $said"
		n=$((n + 1))
	done <<-END
		0123456789|3|/classes: block 0 (bytes 0 to 9) has changed
		"dataset":"digits"|11|manifest: the claim has changed
		"seed":"|8|manifest: the claim has changed
		"who":"me"|7|manifest: the context has changed
		"argv"|1|manifest: the context has changed
		  /train/labels|3|/train/labels: not in the list of digests
		{"claim":|0|/manifest: manifest: not
	END
	assert_equal "$n" 7
	cp d.h5 forged.h5
	reseal forged.h5
	cmp d.h5 forged.h5
}

@test "verify: cut short, longer, empty" {
	digits d.h5 -q --limit-train 20 --limit-test 10
	for n in 100 511 512 513 5000; do
		head -c $n d.h5 > short.h5
		run sd-verify short.h5
		assert_failure 1
		assert_output --partial "short.h5: "
	done
	{ cat d.h5; echo; } > long.h5
	run sd-verify long.h5
	assert_failure 1
	: > empty
	run sd-verify empty
	assert_failure 2
	run sd-derive short.h5
	assert_failure 65
}

@test "verify: genotypes" {
	search
	sd-derive search.h5 --name X > x.genotype
	sed 's/sep_conv_3x3/sep_conv_5x5/' x.genotype > op.genotype
	sed 's/"tool":"sd-derive"/"tool":"sd-derivf"/' x.genotype > claim.genotype
	sed 's/"system":"Linux"/"system":"Minix"/' x.genotype > context.genotype
	grep -v sd-seal x.genotype > seal.genotype
	for f in op claim context seal; do
		run sd-verify $f.genotype
		assert_failure 1
		assert_output --partial "$f.genotype: "
	done
	grep -v '^#' x.genotype > bare.genotype
	run sd-verify bare.genotype
	assert_failure 2
	assert_output "sd-verify: bare.genotype: not an artifact"
	sed 's/^X = /Y = /' x.genotype > renamed.genotype
	run sd-verify renamed.genotype
	assert_success
}

@test "verify: trouble, and the worst of several" {
	digits d.h5 -q --limit-train 20 --limit-test 10
	run sd-verify nothing.h5
	assert_failure 2
	assert_output "sd-verify: cannot open 'nothing.h5': No such file or directory"
	run sd-verify .
	assert_failure 2
	echo hello > text
	run sd-verify text
	assert_failure 2
	run sd-verify
	assert_failure 2
	assert_line -n 1 "Try 'sd-verify --help'."
	run sd-verify - - < d.h5
	assert_failure 2
	run sd-verify --print --json d.h5
	assert_failure 2
	run sd-verify --search-path . d.h5
	assert_failure 2
	cp d.h5 e.h5
	flip e.h5 600
	run sd-verify e.h5 d.h5
	assert_failure 1
	assert_line "d.h5: OK"
	run sd-verify e.h5 nothing.h5 d.h5
	assert_failure 2
	assert_line "d.h5: OK"
	run bash -c 'sd-verify d.h5 > /dev/full'
	assert_failure 2
}

@test "verify: the manifest, indented and to the byte" {
	digits d.h5 -q --note why=because
	sd-verify --print d.h5 > pretty
	grep -q '"why": "because"' pretty
	sd-verify --canonical d.h5 > canonical
	assert_equal "$(wc -l < canonical)" 1
	# the bytes stand in the file as they are; the id is the hash of the claim in them
	[ -n "$(offset d.h5 "$(cat canonical)")" ]
	sed 's/^{"claim":\(.*\),"context":.*/\1/' canonical | tr -d '\n' > claim
	assert_equal "$(sha256sum < claim | cut -c 1-64)" "$(artifact_id d.h5)"
	sd-verify --json d.h5 > json
	grep -q '"status": "same"' json
	grep -q "\"id\": \"$(artifact_id d.h5)\"" json
	grep -q "\"seal\": \"$(tr -d '\n' < canonical | sha256sum | cut -c 1-64)\"" json
	flip d.h5 900
	run sd-verify --json d.h5
	assert_failure 1
	assert_output --partial '"status": "different"'
}

@test "verify: the chain down to the raw files" {
	mkdir raw runs
	cp "$DIGITS" raw/
	sd-prep digits raw/digits.csv.gz -o runs/d.h5 -q
	run sd-verify --chain runs/d.h5
	assert_success
	assert_line -n 0 "runs/d.h5: dataset $(artifact_id runs/d.h5) (sd-prep)"
	assert_line -n 1 --partial "file raw/digits.csv.gz, $(stat -c %s "$DIGITS") bytes, sha256 $(sha256sum < "$DIGITS" | cut -c 1-64)"
	run sd-verify --chain --search-path raw runs/d.h5
	assert_success
	assert_line -n 1 --partial "raw/digits.csv.gz: OK"
	mv raw/digits.csv.gz raw/renamed
	run sd-verify --chain --search-path raw runs/d.h5
	assert_success
	assert_line -n 1 --partial "raw/renamed: OK"
	echo > raw/digits.csv.gz
	echo >> raw/renamed
	run sd-verify --chain --search-path raw runs/d.h5
	assert_failure 1
	assert_line -n 1 --partial "raw/digits.csv.gz: has changed"
	rm raw/*
	run sd-verify --chain --search-path raw runs/d.h5
	assert_failure 2
	assert_line -n 1 --partial "not found"
}

@test "verify: a chain of artifacts" {
	search
	sd-derive search.h5 > x.genotype
	run sd-verify --chain --search-path . x.genotype
	assert_success
	assert_line -n 0 --regexp '^x.genotype: genotype [0-9a-f]{64} \(sd-derive\)$'
	assert_line -n 1 --partial "  search: search $(artifact_id search.h5) (sd-search)"
	assert_line -n 1 --partial "./search.h5: OK"
	flip search.h5 2000
	run sd-verify --chain --search-path . x.genotype
	assert_failure 1
	assert_line -n 1 --partial "./search.h5: has changed"
}

@test "verify: without context equal runs give equal files, elsewhere and later" {
	digits a.h5 -q --context none
	mkdir -p other
	(cd other && TZ=Asia/Tokyo && umask 077 && digits b.h5 -q --context=none --note x=y)
	cmp a.h5 other/b.h5
	digits c.h5 -q
	assert_equal "$(artifact_id c.h5)" "$(artifact_id a.h5)"
	run sd-verify --print a.h5
	assert_line '  "context": {}'
	assert_equal "$(stat -c %a other/b.h5)" 600
}

@test "verify: other HDF5 programs read an artifact" {
	digits d.h5 -q
	if command -v h5dump > dump; then
		h5dump -a /kind d.h5 | grep -q '"dataset"'
	fi
	if /usr/bin/python3 -c 'import h5py' 2> err; then
		/usr/bin/python3 - <<-END
			import h5py, hashlib, json
			with h5py.File("d.h5", "r") as f:
			    text = f["manifest"][()]
			    assert hashlib.sha256(text).hexdigest() == f.attrs["seal"].decode()
			    claim = json.loads(text)["claim"]
			    assert claim["payload"] == hashlib.sha256(f["digests"][()]).hexdigest()
			    # a dataset's digest by sd-manifest(5), all of it in one block
			    d = f["train/labels"]
			    part = lambda b: len(b).to_bytes(8, "little") + b
			    h = hashlib.sha256(part(b"sd1") + part(b"/train/labels") + part(b"u8" if d.dtype == "u1" else b"i32")
			        + part(len(d).to_bytes(8, "little")) + part(hashlib.sha256(b"\0" + d[()].tobytes()).digest()))
			    assert h.hexdigest() + "  /train/labels\n" in f["digests"][()].decode()
		END
	fi
}
