# schema.py SCHEMA: checks the JSON objects on standard input, one a line, against a JSON schema, as far as the
# manifests' schema goes: $ref within the file, type, required, properties, additionalProperties, items, enum,
# pattern, oneOf, minimum, exclusiveMinimum and exclusiveMaximum.  A word that it does not know is an error.  Where
# there is the package jsonschema, that has to agree.
import json, re, sys
try:
    import jsonschema
except ImportError:
    jsonschema = None

KNOWN = {'$schema', '$ref', '$defs', 'title', 'description', 'type', 'required', 'properties', 'additionalProperties',
         'items', 'enum', 'pattern', 'oneOf', 'minimum', 'exclusiveMinimum', 'exclusiveMaximum'}
TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'integer': int}

def problems(root, schema, v, at):
    if schema is True:
        return []
    if schema is False:
        return ['%s: not allowed' % at]
    assert not set(schema) - KNOWN, 'unknown words in the schema: %s' % (set(schema) - KNOWN)
    if '$ref' in schema:
        target = root
        for part in schema['$ref'].split('/')[1:]:
            target = target[part]
        return problems(root, target, v, at)
    out = []
    t = schema.get('type')
    if t and (not isinstance(v, TYPES[t]) or (t == 'integer' and isinstance(v, bool))):
        return ['%s: not of type %s' % (at, t)]
    if 'enum' in schema and v not in schema['enum']:
        out.append('%s: none of %s' % (at, schema['enum']))
    if 'pattern' in schema and not re.search(schema['pattern'], v):
        out.append('%s: does not match %s' % (at, schema['pattern']))
    if 'minimum' in schema and v < schema['minimum']:
        out.append('%s: below %s' % (at, schema['minimum']))
    if 'exclusiveMinimum' in schema and v <= schema['exclusiveMinimum']:
        out.append('%s: too small' % at)
    if 'exclusiveMaximum' in schema and v >= schema['exclusiveMaximum']:
        out.append('%s: too large' % at)
    if 'oneOf' in schema:
        n = sum(not problems(root, s, v, at) for s in schema['oneOf'])
        if n != 1:
            out.append('%s: fits %d of the choices' % (at, n))
    if isinstance(v, dict):
        for key in schema.get('required', []):
            if key not in v:
                out.append('%s: %s is missing' % (at, key))
        for key, value in v.items():
            sub = schema.get('properties', {}).get(key, schema.get('additionalProperties', True))
            out += problems(root, sub, value, '%s/%s' % (at, key))
    if isinstance(v, list) and 'items' in schema:
        for i, value in enumerate(v):
            out += problems(root, schema['items'], value, '%s/%d' % (at, i))
    return out

schema = json.load(open(sys.argv[1]))
other = jsonschema and jsonschema.Draft202012Validator(schema)
n = bad = 0
for line in sys.stdin:
    n += 1
    found = problems(schema, schema, json.loads(line), '')
    for p in found:
        print('line %d: %s' % (n, p))
        bad += 1
    if other:
        assert other.is_valid(json.loads(line)) == (not found), 'line %d: jsonschema does not agree' % n
print('%d checked, %d problems' % (n, bad))
sys.exit(bad > 0 or n == 0)
