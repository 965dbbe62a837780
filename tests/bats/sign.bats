# Signatures, and manifests in the words of others.

load setup

setup_file() {
	command -v openssl > /dev/null || skip 'no openssl'
	cd "$BATS_FILE_TMPDIR"
	for k in a b; do
		openssl genpkey -algorithm ed25519 -out $k.key
		openssl pkey -in $k.key -pubout -out $k.pub
	done
	digits d.h5 -q --note author='A. Nother'
	digits plain.h5 -q --context none --limit-train 20 --limit-test 10
	"$BUILD/tests/test_genofile" --write search.h5
	sd-derive search.h5 > x.genotype
}

# In a test's own folder: copies of what setup_file made.
setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	cp "$BATS_FILE_TMPDIR"/* .
}

keyid() {
	openssl pkey -pubin -in "$1" -outform DER | sha256sum | cut -c 1-64
}

# member NAME: a string in an envelope on standard input.
member() {
	sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"
}

# pae ENVELOPE: the bytes that are signed, put together by hand.
pae() {
	local type payload
	type=$(member payloadType < "$1")
	member payload < "$1" | base64 -d > payload
	payload=$(stat -c %s payload)
	printf 'DSSEv1 %d %s %d ' ${#type} "$type" "$payload"
	cat payload
}

@test "sign: in the file, by two, and checked" {
	local id
	id=$(artifact_id d.h5)
	run sd-verify --sign a.key d.h5 x.genotype
	assert_success
	assert_output "d.h5: signed with key $(keyid a.pub)
x.genotype: signed with key $(keyid a.pub)"
	for f in d.h5 x.genotype; do
		run sd-verify --check a.pub $f
		assert_success
		assert_output "$f: signed with key $(keyid a.pub)"
		run sd-verify --check b.pub $f
		assert_failure 1
		assert_output "$f: not signed with key $(keyid b.pub)"
		run sd-verify --check a.pub --check b.pub $f
		assert_failure 1
		sd-verify -q --sign b.key $f
		sd-verify -q --sign a.key $f
		run sd-verify --check a.pub --check b.pub $f
		assert_success
		run sd-verify $f
		assert_success
		assert_output --partial "$f: OK (not checked: signatures with key "
		assert_output --partial "$(keyid a.pub | cut -c 1-12)"
		assert_output --partial "$(keyid b.pub | cut -c 1-12)"
	done
	assert_equal "$(artifact_id d.h5)" "$id"
	assert_equal "$(grep -c '^# sd-signature' x.genotype)" 2
	run sd-verify --json d.h5
	assert_output --partial "\"$(keyid a.pub)\""
	run sd-dot x.genotype
	assert_success
}

@test "sign: only the signature and the line in front are new" {
	cp d.h5 before.h5
	chmod 640 d.h5
	sd-verify -q --sign a.key d.h5
	assert_equal "$(stat -c %a d.h5)" 640
	assert_equal "$(sd-verify --canonical d.h5)" "$(sd-verify --canonical before.h5)"
	sd-verify --sign a.key -o copy.h5 before.h5
	run sd-verify --check a.pub copy.h5
	assert_success
	run sd-verify --check a.pub before.h5
	assert_failure 1
	sd-verify --sign a.key - < before.h5 > stream.h5
	cmp copy.h5 stream.h5
	sd-verify --sign a.key - < x.genotype > stream.genotype
	sd-verify --sign a.key -o copy.genotype x.genotype
	cmp copy.genotype stream.genotype
	assert_equal "$(grep -v sd-signature stream.genotype)" "$(cat x.genotype)"
}

@test "sign: in a file beside" {
	cp d.h5 before.h5
	sd-verify --sign a.key --detached d.h5 x.genotype
	sd-verify --sign b.key --detached d.h5 x.genotype
	cmp d.h5 before.h5
	run sd-verify --check a.pub --check b.pub d.h5 x.genotype
	assert_success
	assert_equal "$(member payload < d.h5.dsse.json | base64 -d | grep -c "$(sha256sum < d.h5 | cut -c 1-64)")" 1
	sd-verify -q --sign b.key d.h5
	run sd-verify --check a.pub --check b.pub d.h5
	assert_success
	run sd-verify --sign a.key --detached d.h5
	assert_failure 2
	assert_output "sd-verify: 'd.h5.dsse.json' is there, and is of another file"
	cp x.genotype.dsse.json d.h5.dsse.json
	run sd-verify --check b.pub d.h5
	assert_failure 1
	assert_output --partial "d.h5: signature: of another artifact, the genotype "
}

@test "sign: openssl verifies what was signed" {
	sd-verify -q --sign a.key --detached d.h5
	sd-verify -q --sign b.key x.genotype
	sed -n 's/^# sd-signature //p' x.genotype > x.json
	for pair in d.h5.dsse.json:a x.json:b; do
		pae ${pair%:*} > signed
		member sig < ${pair%:*} | base64 -d > sig
		assert_equal "$(stat -c %s sig)" 64
		run openssl pkeyutl -verify -pubin -inkey ${pair#*:}.pub -rawin -in signed -sigfile sig
		assert_success
		assert_equal "$(member keyid < ${pair%:*})" "$(keyid ${pair#*:}.pub)"
	done
	# and what openssl signed is taken here
	openssl pkeyutl -sign -inkey b.key -rawin -in <(pae d.h5.dsse.json) -out sig 2> err ||
		{ pae d.h5.dsse.json > signed; openssl pkeyutl -sign -inkey b.key -rawin -in signed -out sig; }
	sed "s|\"signatures\":.*|\"signatures\":[{\"sig\":\"$(base64 -w 0 < sig)\"}]}|" d.h5.dsse.json > new
	mv new d.h5.dsse.json
	run sd-verify --check b.pub d.h5
	assert_success
	run sd-verify --check a.pub d.h5
	assert_failure 1
}

@test "export: an in-toto statement in an envelope, which openssl verifies" {
	sd-verify --export in-toto --sign a.key d.h5 > d.jsonl
	assert_equal "$(wc -l < d.jsonl)" 1
	pae d.jsonl > signed
	member sig < d.jsonl | base64 -d > sig
	run openssl pkeyutl -verify -pubin -inkey a.pub -rawin -in signed -sigfile sig
	assert_success
	member payload < d.jsonl | base64 -d > statement
	grep -q '"predicateType":"https://slsa.dev/provenance/v1"' statement
	if /usr/bin/python3 -c '' 2> err; then
		/usr/bin/python3 "$ROOT/tests/bats/exported.py" in-toto statement
	fi
	run sd-verify --check a.pub d.h5
	assert_failure 1
	run sd-verify --export ro-crate --sign a.key d.h5
	assert_failure 2
}

@test "sign: killed at any moment, the artifact is whole" {
	local i pid n=0
	cp d.h5 before.h5
	for i in $(seq 60); do
		sd-verify -q --sign a.key d.h5 &
		pid=$!
		sleep 0.0$((RANDOM % 5))$((RANDOM % 10))
		kill -KILL $pid 2> err || true
		wait $pid 2> err || n=$((n + 1))
		sd-verify -q d.h5
		[ $((i % 10)) -ne 0 ] || cp before.h5 d.h5
	done
	echo "$n of 60 were killed"
	[ $n -gt 5 ]
	sd-verify -q --sign a.key d.h5
	sd-verify -q --check a.pub d.h5
}

@test "sign: by eight at once" {
	local i ok=0 pids=
	for i in $(seq 8); do
		openssl genpkey -algorithm ed25519 -out $i.key
		sd-verify -q --sign $i.key d.h5 2> $i.err &
		pids="$pids $!"
	done
	i=0
	for pid in $pids; do
		i=$((i + 1))
		if wait $pid; then
			ok=$((ok + 1))
			openssl pkey -in $i.key -pubout -out $i.pub
			sd-verify -q --check $i.pub d.h5
		else
			grep -q 'is being written by another process' $i.err
		fi
	done
	[ $ok -ge 1 ]
	run sd-verify --json d.h5
	assert_success
	assert_equal "$(sed -n '/"signatures"/,/]/p' <<< "$output" | grep -cE '"[0-9a-f]{64}"')" $ok
}

@test "sign: keys of OpenSSH, minisign and signify" {
	local raw
	sd-verify -q --sign a.key d.h5
	raw=$(openssl pkey -pubin -in a.pub -outform DER | tail -c 32 | base64 -w 0)
	{ printf 'Ed12345678'; base64 -d <<< "$raw"; } | base64 -w 0 > body
	printf 'untrusted comment: minisign public key\n%s\n' "$(cat body)" > mini.pub
	cat body > bare.pub
	{ printf '\0\0\0\013ssh-ed25519\0\0\0\040'; base64 -d <<< "$raw"; } | base64 -w 0 > body
	printf '# mine\nssh-ed25519 %s me@here\n' "$(cat body)" > ssh.pub
	for k in mini bare ssh; do
		run sd-verify --check $k.pub d.h5
		assert_success
		assert_output "d.h5: signed with key $(keyid a.pub)"
	done
	if command -v ssh-keygen > /dev/null; then
		ssh-keygen -q -t ed25519 -N '' -f id
		sd-verify -q --sign id x.genotype
		run sd-verify --check id.pub x.genotype
		assert_success
		ssh-keygen -q -t ed25519 -N secret -f locked
		run sd-verify --sign locked x.genotype
		assert_failure 2
		assert_output "sd-verify: locked: an encrypted OpenSSH key, which can't be read here"
		ssh-keygen -q -t ecdsa -N '' -f other
		run sd-verify --sign other x.genotype
		assert_failure 2
		run sd-verify --check other.pub x.genotype
		assert_failure 2
	fi
}

@test "sign: trouble" {
	openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -out rsa.key 2> err
	openssl pkey -in rsa.key -pubout -out rsa.pub
	cat a.pub > two.pub
	printf 'ssh-ed25519 AAAA\n' > bad.pub
	while IFS='|' read -r args said; do
		run sd-verify $args
		assert_failure 2
		assert_line -n 0 "sd-verify: $said"
	done <<-END
		--check rsa.pub d.h5|rsa.pub: not an Ed25519 public key (PEM, OpenSSH or minisign)
		--check bad.pub d.h5|bad.pub: not an Ed25519 public key (PEM, OpenSSH or minisign)
		--check a.key d.h5|a.key: a private key where a public key was expected
		--check d.h5 d.h5|'d.h5' has more than 65536 bytes
		--check no.pub d.h5|cannot open 'no.pub': No such file or directory
		--sign rsa.key d.h5|rsa.key: a key of another kind where Ed25519 was expected
		--sign a.pub d.h5|a.pub: not an Ed25519 private key (PEM or OpenSSH)
		--sign a.key --check a.pub d.h5|--sign and --check don't go together
		--detached d.h5|--detached is for --sign
		--sign a.key -o y d.h5 plain.h5|--output goes with a single artifact
		-o y d.h5|--output is for --sign and --export
		--sign a.key -o no/where d.h5|cannot create 'no/where.lock': No such file or directory
	END
	run bash -c 'sd-verify --sign a.key --detached - < d.h5'
	assert_failure 2
	assert_line -n 0 "sd-verify: there is nothing beside standard input"
	flip d.h5 9000
	run sd-verify --sign a.key d.h5
	assert_failure 1
	assert_output "d.h5: damaged: its SHA-256 is not the one in the user block"
	run sd-verify --check a.pub d.h5
	assert_failure 1
	run find . -name '.*' -type f
	assert_output ''
}

@test "sign: whoever trains on it does not see it" {
	sd-derive search.h5 --name X -o a.genotype
	cp a.genotype b.genotype
	sd-verify -q --sign a.key b.genotype
	colours c.h5
	for g in a b; do
		sd-train --data c.h5 --arch ./$g.genotype --epochs 1 --init_channels 4 --layers 2 --limit-batches 1 \
			--batch_size 20 -q --context none -o $g-model.h5
	done
	cmp a-model.h5 b-model.h5
}

@test "export: in-toto and RO-Crate as their specifications ask" {
	sd-verify --export in-toto d.h5 > d.json
	sd-verify --export in-toto x.genotype > x.json
	sd-verify --export in-toto plain.h5 > plain.json
	sd-verify --export in-toto - < x.genotype > stream.json
	sd-verify --export ro-crate -o crate x.genotype
	sd-verify --export ro-crate -o crate2 d.h5
	sd-verify --export ro-crate -o - plain.h5 > plain-crate.json
	assert_equal "$(ls crate)" "ro-crate-metadata.json
x.genotype"
	cmp x.genotype crate/x.genotype
	grep -q "$(sha256sum < x.genotype | cut -c 1-64)" stream.json
	run sd-verify --export ro-crate -o crate x.genotype
	assert_failure 2
	assert_output --partial "'crate/ro-crate-metadata.json' exists"
	cp plain.h5 crate2/x.genotype
	rm crate2/ro-crate-metadata.json
	run sd-verify --export ro-crate -o crate2 x.genotype
	assert_failure 2
	assert_output --partial "'crate2/x.genotype' exists and is another file"
	sd-verify --export ro-crate -o crate2 d.h5
	/usr/bin/python3 -c '' 2> err || skip 'no python3'
	for f in d x plain stream; do
		/usr/bin/python3 "$ROOT/tests/bats/exported.py" in-toto $f.json
	done
	/usr/bin/python3 "$ROOT/tests/bats/exported.py" ro-crate crate/ro-crate-metadata.json crate
	/usr/bin/python3 "$ROOT/tests/bats/exported.py" ro-crate crate2/ro-crate-metadata.json crate2
	/usr/bin/python3 "$ROOT/tests/bats/exported.py" ro-crate plain-crate.json .
	# the checker can say no
	for cut in _type subject '"buildType"' '"builder"' sha256; do
		sed "s/$cut/x$cut/; s/x\"/\"x/" d.json > bad.json
		run /usr/bin/python3 "$ROOT/tests/bats/exported.py" in-toto bad.json
		assert_failure
	done
	for cut in conformsTo datePublished instrument CreateAction '"@id": "#run'; do
		sed "0,/$cut/s/$cut/${cut}x/" crate/ro-crate-metadata.json > bad.json
		run /usr/bin/python3 "$ROOT/tests/bats/exported.py" ro-crate bad.json crate
		assert_failure
	done
}

# Where there are the validators, in the Python of $VALIDATORS or python3.
@test "export: in-toto and RO-Crate as others' validators have them" {
	local python=${VALIDATORS:-python3} kind skipped=
	sd-verify --export in-toto d.h5 > d.json
	sd-verify --export in-toto x.genotype > x.json
	sd-verify --export ro-crate -o crate x.genotype
	sd-verify --export ro-crate -o crate2 d.h5
	for kind in in-toto ro-crate; do
		set -- d.json x.json
		[ $kind = in-toto ] || set -- crate crate2
		run "$python" "$ROOT/tests/bats/validators.py" $kind "$@"
		[ $status -ne 77 ] && [ $status -ne 127 ] || { skipped+="$kind: $output; "; continue; }
		assert_success
	done
	[ -z "$skipped" ] || skip "$skipped"
}
