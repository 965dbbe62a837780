"""exported.py in-toto FILE, exported.py ro-crate FILE FOLDER: what the specifications require of an export.

in-toto: Statement v1 and ResourceDescriptor v1 (github.com/in-toto/attestation, spec/v1) and the fields that
slsa.dev/spec/v1.0/provenance requires.  ro-crate: RO-Crate 1.1 (metadata descriptor, root data entity, data
entities) and the MUSTs of Process Run Crate 0.5.  Fails with the first thing that is missing."""
import base64, datetime, json, os, re, sys, urllib.parse

HEX = {"sha256": 64, "gitCommit": 40}
URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$")


def need(cond, *what):
    if not cond:
        sys.exit("not so: " + " ".join(str(w) for w in what))


def no_doubles(pairs):
    need(len(dict(pairs)) == len(pairs), "a member twice", pairs)
    return dict(pairs)


def timestamp(t, utc="Z"):
    need(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ]+$", t) and t.endswith(utc), "RFC 3339 in UTC", t)
    datetime.datetime.strptime(t, "%Y-%m-%dT%H:%M:%S" + utc)


def only(o, names, what):
    need(isinstance(o, dict), what, "is an object")
    # extension fields have a vendor and an underscore in their names
    need(all(k in names or "_" in k for k in o), what, "has only known members:", sorted(o))


def digest_set(d):
    need(isinstance(d, dict) and d, "a digest")
    for name, value in d.items():
        need(name in HEX and re.match("^[0-9a-f]{%d}$" % HEX[name], value), "digest", name, value)


def descriptor(d):
    only(d, ("name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"), "descriptor")
    need("uri" in d or "digest" in d or "content" in d, "uri, digest or content in", d)
    if "digest" in d:
        digest_set(d["digest"])
    if "uri" in d:
        need(URI.match(d["uri"]), "uri", d["uri"])
        if d["uri"].startswith("ni:///sha-256;"):  # RFC 6920
            need(base64.urlsafe_b64decode(d["uri"][14:] + "=").hex() == d["digest"]["sha256"], "uri", d)
    need(isinstance(d.get("annotations", {}), dict), "annotations")


def in_toto(path):
    s = json.load(open(path), object_pairs_hook=no_doubles)
    only(s, ("_type", "subject", "predicateType", "predicate"), "statement")
    need(s.get("_type") == "https://in-toto.io/Statement/v1", "_type")
    need(s.get("predicateType") == "https://slsa.dev/provenance/v1", "predicateType")
    need(isinstance(s.get("subject"), list) and s["subject"], "subject")
    for d in s["subject"]:
        descriptor(d)
        need("digest" in d, "a subject has a digest")
    names = [d["name"] for d in s["subject"]]
    need(len(set(names)) == len(names), "subjects have names of their own")
    p = s["predicate"]
    only(p, ("buildDefinition", "runDetails"), "predicate")
    b, r = p["buildDefinition"], p["runDetails"]
    only(b, ("buildType", "externalParameters", "internalParameters", "resolvedDependencies"), "buildDefinition")
    need(URI.match(b.get("buildType", "")), "buildType")
    need(isinstance(b.get("externalParameters"), dict) and b["externalParameters"], "externalParameters")
    need(isinstance(b.get("internalParameters", {}), dict), "internalParameters")
    need(not set(b["externalParameters"]) & set(b.get("internalParameters", {})), "no parameter twice")
    for d in b.get("resolvedDependencies", []):
        descriptor(d)
    uris = {d.get("uri") for d in b["resolvedDependencies"]}
    need(all(u in uris for u in b["externalParameters"]["inputs"].values()), "inputs are dependencies")
    only(r, ("builder", "metadata", "byproducts"), "runDetails")
    only(r["builder"], ("id", "builderDependencies", "version"), "builder")
    need(URI.match(r["builder"]["id"]), "builder.id")
    need(all(isinstance(v, str) for v in r["builder"].get("version", {}).values()), "builder.version")
    m = r.get("metadata", {})
    only(m, ("invocationId", "startedOn", "finishedOn"), "metadata")
    for k in ("startedOn", "finishedOn"):
        if k in m:
            timestamp(m[k])
    for d in r.get("byproducts", []):
        descriptor(d)


def types(e):
    return e["@type"] if isinstance(e["@type"], list) else [e["@type"]]


def refs(v):
    v = v if isinstance(v, list) else [v]
    return [x["@id"] for x in v if isinstance(x, dict) and "@id" in x]


def ro_crate(path, folder):
    c = json.load(open(path), object_pairs_hook=no_doubles)
    context = c["@context"] if isinstance(c["@context"], list) else [c["@context"]]
    need("https://w3id.org/ro/crate/1.1/context" in context, "@context")
    need(set(c) == {"@context", "@graph"}, "@context and @graph alone")
    by_id = {}
    for e in c["@graph"]:
        need(isinstance(e.get("@id"), str) and "@type" in e, "@id and @type in", e)
        need(e["@id"] not in by_id, "once in the graph:", e["@id"])
        by_id[e["@id"]] = e
    # flat: no entity within another
    for e in c["@graph"]:
        for k, v in e.items():
            for x in v if isinstance(v, list) else [v]:
                need(not isinstance(x, dict) or set(x) == {"@id"}, "a reference:", k, x)
    d = by_id["ro-crate-metadata.json"]
    need(types(d) == ["CreativeWork"] and d["about"] == {"@id": "./"}, "metadata descriptor")
    need(d["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}, "conformsTo of the descriptor")
    root = by_id["./"]
    need("Dataset" in types(root), "root data entity")
    for k in ("name", "description", "datePublished", "license"):
        need(root.get(k), k, "of the root")
    timestamp(root["datePublished"], "+00:00")
    (licence,) = refs(root["license"])
    need(by_id[licence].get("name"), "name of the license")
    profile = "https://w3id.org/ro/wfrun/process/0.5"
    need(profile in refs(root.get("conformsTo")) and "CreativeWork" in types(by_id[profile]), "profile")
    parts, mentions = refs(root["hasPart"]), refs(root["mentions"])
    for e in c["@graph"]:
        if "File" in types(e):
            need(e["@id"] in parts, "a part of the root:", e["@id"])
            if not URI.match(e["@id"]):
                name = os.path.join(folder, urllib.parse.unquote(e["@id"]))
                need(os.path.isfile(name), "in the crate:", name)
                need(str(os.path.getsize(name)) == e["contentSize"], "size of", name)
    for x in parts + mentions:
        need(x in by_id, "in the graph:", x)
    actions = [e for e in c["@graph"] if "CreateAction" in types(e)]
    need(actions, "a CreateAction")
    made = set()
    for a in actions:
        need(a["@id"] in mentions, "mentioned by the root:", a["@id"])
        (tool,) = refs(a["instrument"])
        need("SoftwareApplication" in types(by_id[tool]), "instrument", tool)
        need(by_id[tool].get("name") and by_id[tool].get("softwareVersion"), "name and version of", tool)
        need(a.get("name") and a.get("description"), "name and description of", a["@id"])
        for k in ("startTime", "endTime"):
            if k in a:
                timestamp(a[k], "+00:00")
        need(re.match("^http://schema.org/(Completed|Failed)ActionStatus$", a.get("actionStatus", "")), "actionStatus")
        need(refs(a["result"]), "a result")
        for x in refs(a["result"]):
            made.add(x)
        for x in refs(a["object"]) + refs(a["result"]):
            need(set(types(by_id[x])) & {"File", "Dataset", "Collection", "CreativeWork", "PropertyValue"}, x)
        for x in refs(a.get("agent", [])):
            need(set(types(by_id[x])) & {"Person", "Organization"}, "agent", x)
    # every artifact is the result of an action
    for e in c["@graph"]:
        if e.get("identifier", "").startswith("urn:sharpdarts:artifact:"):
            need(e["@id"] in made, "made by an action:", e["@id"])


{"in-toto": in_toto, "ro-crate": ro_crate}[sys.argv[1]](*sys.argv[2:])
