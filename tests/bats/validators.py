"""validators.py in-toto FILE..., validators.py ro-crate FOLDER...: exports before the validators of others, the
packages in-toto-attestation (its protocol buffers know no other fields) and roc-validator.  Status 77, with the
reason, where one is missing, or the web, which the latter takes the crates' contexts from."""
import json, sys, urllib.request


def skip(why):
    print(why)
    sys.exit(77)


def in_toto(*files):
    try:
        from google.protobuf import json_format
        from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
        from in_toto_attestation.v1 import statement, statement_pb2
    except ImportError as e:
        skip(e)
    for f in files:
        o = json.load(open(f))
        s = statement.Statement.copy_from_pb(json_format.ParseDict(o, statement_pb2.Statement()))
        s.validate()
        p = json_format.ParseDict(o["predicate"], provenance_pb2.Provenance())
        if not p.build_definition.build_type or not p.run_details.builder.id:
            sys.exit("%s: no buildType or builder.id" % f)


def ro_crate(*folders):
    try:
        from rocrate_validator import models, services
    except ImportError as e:
        skip(e)
    for url in json.load(open(folders[0] + "/ro-crate-metadata.json"))["@context"]:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except OSError as e:
            skip("%s: %s" % (url, e))
    bad = 0
    for folder in folders:
        found = services.validate(services.ValidationSettings(
            rocrate_uri=folder, profile_identifier="process-run-crate-0.5",
            requirement_severity=models.Severity.REQUIRED))
        for i in found.get_issues():
            print(folder, i.check.identifier, i.message)
            bad += 1
    sys.exit(bad > 0)


{"in-toto": in_toto, "ro-crate": ro_crate}[sys.argv[1]](*sys.argv[2:])
