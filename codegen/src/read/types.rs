//! The dialect: one JSON Schema node to one [`Type`].

use openclaw_schema_runtime::Tree;

use super::Reader;
use crate::model::{CounterExample, Extra, Member, Object, Type};
use crate::source::{Place, members, strings};

/// Keywords that say something about a value, with the types they belong to.
const TYPED: &[(&str, &[&str])] = &[
    ("properties", &["object"]),
    ("required", &["object"]),
    ("additionalProperties", &["object"]),
    ("items", &["array"]),
    ("minItems", &["array"]),
    ("maxItems", &["array"]),
    ("minLength", &["string"]),
    ("maxLength", &["string"]),
    ("enum", &["string"]),
    ("x-secret", &["string"]),
    ("minimum", &["integer", "number"]),
    ("maximum", &["integer", "number"]),
];

/// Keywords without influence on validity.
const NOTES: &[&str] = &[
    "description",
    "title",
    "examples",
    "x-counterExamples",
    "x-patch",
    "x-swift-name",
    "x-since",
];

/// Keywords of JSON Schema that people reach for, and what this dialect has instead.
const INSTEAD: &[(&str, &str)] = &[
    (
        "allOf",
        "write the members out; a closed base would forbid the extension's members",
    ),
    (
        "if",
        "make a tagged union with oneOf, or check in the handler",
    ),
    (
        "then",
        "make a tagged union with oneOf, or check in the handler",
    ),
    (
        "else",
        "make a tagged union with oneOf, or check in the handler",
    ),
    ("not", "state what is allowed"),
    (
        "const",
        "write {\"type\":\"string\",\"enum\":[\"x\"]}, which the generated types enforce",
    ),
    (
        "pattern",
        "check the form in the handler, where the error can say what was expected",
    ),
    (
        "patternProperties",
        "use additionalProperties with a schema",
    ),
    ("propertyNames", "use additionalProperties with a schema"),
    ("prefixItems", "use an object with named members"),
    ("unevaluatedProperties", "use additionalProperties"),
    (
        "dependentRequired",
        "make a tagged union with oneOf, or check in the handler",
    ),
    ("uniqueItems", "check in the handler"),
    (
        "format",
        "describe the form; formats are not enforced by the validators",
    ),
    (
        "default",
        "put the default into the handler and name it in the description",
    ),
    ("definitions", "use $defs"),
    ("exclusiveMinimum", "use minimum"),
    ("exclusiveMaximum", "use maximum"),
    ("multipleOf", "check in the handler"),
    ("nullable", "write anyOf: [T, {\"type\":\"null\"}]"),
];

/// The largest integer that JavaScript, Swift and Rust clients agree on.
pub(super) const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

impl Reader {
    /// A whole definition; objects may stand here.
    pub(super) fn definition_type(&mut self, file: &str, place: &Place, schema: &Tree) -> Type {
        if let Some(lenient) = schema.get("x-lenient") {
            for (key, _) in members(Some(schema)) {
                if key != "x-lenient" && !NOTES.contains(&key.as_str()) {
                    self.wrong(
                        &place.at(key),
                        format!("`{key}` beside x-lenient has no effect"),
                        "describe the members inside x-lenient, or drop x-lenient",
                    );
                }
            }
            return Type::Lenient(self.lenient_members(file, &place.at("x-lenient"), lenient));
        }
        self.read_type(file, place, schema, true)
    }

    /// Any node. `named`: it is a definition, so it may be an object, a set of strings or a union.
    pub(super) fn read_type(
        &mut self,
        file: &str,
        place: &Place,
        schema: &Tree,
        named: bool,
    ) -> Type {
        let Tree::Object(keys) = schema else {
            self.wrong(
                place,
                "a type is expected here",
                "write an object such as {\"type\":\"string\"}",
            );
            return Type::ANY;
        };
        self.check_keywords(place, keys);
        if named && schema.get("x-swift-name").is_some() {
            self.wrong(
                &place.at("x-swift-name"),
                "`x-swift-name` names a member, and this is none",
                "move it to the member, or drop it",
            );
        }
        if let Some(target) = schema.get("$ref") {
            return self.reference(file, &place.at("$ref"), target);
        }
        if let Some(alternatives) = schema.get("anyOf") {
            return self.nullable(file, &place.at("anyOf"), alternatives);
        }
        if let Some(alternatives) = schema.get("oneOf") {
            if !named {
                self.wrong(
                    place,
                    "a union needs a name",
                    "move it to $defs and refer to it",
                );
            }
            return self.union(file, &place.at("oneOf"), alternatives);
        }
        let secret = matches!(schema.get("x-secret"), Some(Tree::Bool(true)));
        let Some(kind) = schema.get("type") else {
            return Type::Any { secret };
        };
        let kind = kind.as_str().unwrap_or("");
        self.check_typed(place, keys, kind);
        match kind {
            "boolean" => Type::Boolean,
            "string" => self.string(place, schema, named),
            "integer" => self.integer(place, schema),
            "number" => Type::Number {
                min: schema.get("minimum").and_then(number),
                max: schema.get("maximum").and_then(number),
            },
            "array" => self.array(file, place, schema),
            "object" => {
                let object = self.object(file, place, schema);
                if !named && !object.members.is_empty() {
                    self.wrong(
                        place,
                        "an object with members needs a name",
                        "move it to $defs and refer to it; generated types take their names from there",
                    );
                }
                Type::Object(object)
            }
            "null" => {
                self.wrong(
                    place,
                    "`null` alone is no type",
                    "write anyOf: [T, {\"type\":\"null\"}]",
                );
                Type::ANY
            }
            other => {
                self.wrong(
                    &place.at("type"),
                    format!("`{other}` is no type of the dialect"),
                    "use boolean, string, integer, number, array or object",
                );
                Type::ANY
            }
        }
    }

    fn check_keywords(&mut self, place: &Place, keys: &[(String, Tree)]) {
        for (key, _) in keys {
            let known = matches!(key.as_str(), "$ref" | "type" | "anyOf" | "oneOf")
                || TYPED.iter().any(|(name, _)| name == key)
                || NOTES.contains(&key.as_str());
            if !known {
                let advice = INSTEAD
                    .iter()
                    .find(|(name, _)| name == key)
                    .map_or("see the dialect in schema/README.md", |(_, advice)| advice);
                self.wrong(&place.at(key), format!("unknown keyword `{key}`"), advice);
            }
        }
        if keys.iter().any(|(key, _)| key == "$ref")
            && let Some((key, _)) = keys
                .iter()
                .find(|(key, _)| key != "$ref" && !NOTES.contains(&key.as_str()))
        {
            self.wrong(
                &place.at(key),
                format!("`{key}` beside $ref has no effect"),
                "put it into the definition that is referred to",
            );
        }
    }

    fn check_typed(&mut self, place: &Place, keys: &[(String, Tree)], kind: &str) {
        for (key, _) in keys {
            if let Some((_, kinds)) = TYPED.iter().find(|(name, _)| name == key)
                && !kinds.contains(&kind)
            {
                self.wrong(
                    &place.at(key),
                    format!("`{key}` does nothing for type `{kind}`"),
                    format!("it belongs to {}", kinds.join(" or ")),
                );
            }
        }
    }

    /// `file.json#/$defs/Name` or `#/$defs/Name`.
    fn reference(&mut self, file: &str, place: &Place, target: &Tree) -> Type {
        let text = target.as_str().unwrap_or("");
        let Some((path, name)) = text.split_once("#/$defs/") else {
            self.wrong(
                place,
                format!("`{text}` is not a reference to a definition"),
                "write \"#/$defs/Name\" or \"other.json#/$defs/Name\"",
            );
            return Type::ANY;
        };
        let wanted = resolve_path(file, path);
        match self.names.get(name) {
            Some(home) if *home == wanted => Type::Ref(name.to_owned()),
            Some(home) => {
                let home = home.clone();
                self.wrong(
                    place,
                    format!("`{name}` is not in {wanted} but in {home}"),
                    format!("correct the file part of the reference, `{home}`"),
                );
                Type::ANY
            }
            None => {
                let near = nearest(name, self.names.keys());
                self.wrong(
                    place,
                    format!("`{text}` points to nothing"),
                    near.map_or("define it under $defs".to_owned(), |near| {
                        format!("did you mean `{near}`?")
                    }),
                );
                Type::ANY
            }
        }
    }

    fn nullable(&mut self, file: &str, place: &Place, alternatives: &Tree) -> Type {
        if let Tree::Array(items) = alternatives
            && let [first, second] = items.as_slice()
            && second.get("type").and_then(Tree::as_str) == Some("null")
        {
            let inner = self.read_type(file, &place.at(0), first, false);
            return Type::Nullable(Box::new(inner));
        }
        self.wrong(
            place,
            "anyOf is only for values that may be null",
            "write anyOf: [T, {\"type\":\"null\"}]; string sets are enum, tagged unions are oneOf",
        );
        Type::ANY
    }

    fn union(&mut self, file: &str, place: &Place, alternatives: &Tree) -> Type {
        let Tree::Array(items) = alternatives else {
            self.wrong(place, "oneOf needs a list", "list the alternatives");
            return Type::ANY;
        };
        if items.iter().all(|item| item.get("$ref").is_some()) && !items.is_empty() {
            let names = items.iter().enumerate().filter_map(|(i, item)| {
                match self.read_type(file, &place.at(i), item, false) {
                    Type::Ref(name) => Some(name),
                    _ => None,
                }
            });
            return Type::OneOf(names.collect());
        }
        let mut tag: Option<String> = None;
        let mut variants = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let place = place.at(i);
            let Type::Object(object) = self.read_type(file, &place, item, true) else {
                self.wrong(
                    &place,
                    "a variant is a closed object with a tag member",
                    UNION,
                );
                continue;
            };
            let found = object.members.iter().find_map(|member| match &member.ty {
                Type::Enum(values) if member.required && values.len() == 1 => {
                    Some((member.name.clone(), values[0].clone()))
                }
                _ => None,
            });
            match found {
                Some((name, value)) if tag.as_ref().is_none_or(|tag| *tag == name) => {
                    if !matches!(object.extra, Extra::Closed) {
                        self.wrong(
                            &place,
                            "a variant must be closed",
                            "state additionalProperties: false",
                        );
                    }
                    tag = Some(name);
                    let description = self.description(&place, item);
                    variants.push((value, object, description));
                }
                _ => self.wrong(
                    &place,
                    "the variant has no tag of the same name as the others",
                    UNION,
                ),
            }
        }
        Type::Tagged {
            tag: tag.unwrap_or_default(),
            variants,
        }
    }

    fn string(&mut self, place: &Place, schema: &Tree, named: bool) -> Type {
        if let Some(values) = schema.get("enum") {
            let list = strings(schema, "enum");
            let all = matches!(values, Tree::Array(items) if items.len() == list.len());
            if !all || list.is_empty() {
                self.wrong(
                    &place.at("enum"),
                    "enum lists strings",
                    "write at least one string",
                );
            }
            for (i, value) in list.iter().enumerate() {
                if list[..i].contains(value) {
                    self.wrong(
                        &place.at("enum").at(i),
                        format!("`{value}` stands twice"),
                        "remove one",
                    );
                }
            }
            if !named && list.len() > 1 {
                self.wrong(
                    place,
                    "a set of strings needs a name",
                    "move it to $defs and refer to it; one value alone (a tag) may stand here",
                );
            }
            return Type::Enum(list);
        }
        Type::String {
            min: schema.get("minLength").and_then(natural).unwrap_or(0),
            max: schema.get("maxLength").and_then(natural),
            secret: matches!(schema.get("x-secret"), Some(Tree::Bool(true))),
        }
    }

    fn integer(&mut self, place: &Place, schema: &Tree) -> Type {
        let min = schema.get("minimum").and_then(integer);
        let max = schema.get("maximum").and_then(integer);
        if min.is_none() || max.is_none_or(|max| max > MAX_SAFE_INTEGER) {
            self.wrong(
                place,
                "an integer states minimum and maximum",
                format!("refer to a primitive (Uint, TimestampMs …), or bound it; at most {MAX_SAFE_INTEGER}"),
            );
        }
        let (min, max) = (min.unwrap_or(0), max.unwrap_or(MAX_SAFE_INTEGER));
        if min > max {
            self.wrong(place, "minimum is above maximum", "swap them");
        }
        Type::Integer { min, max }
    }

    fn array(&mut self, file: &str, place: &Place, schema: &Tree) -> Type {
        let items = match schema.get("items") {
            Some(items) => self.read_type(file, &place.at("items"), items, false),
            None => {
                self.wrong(
                    place,
                    "an array states its items",
                    "add items; {} for anything",
                );
                Type::ANY
            }
        };
        Type::Array {
            items: Box::new(items),
            min: schema.get("minItems").and_then(natural).unwrap_or(0),
            max: schema.get("maxItems").and_then(natural),
        }
    }

    fn object(&mut self, file: &str, place: &Place, schema: &Tree) -> Object {
        let required = strings(schema, "required");
        let properties = members(schema.get("properties"));
        for (i, name) in required.iter().enumerate() {
            if !properties.iter().any(|(key, _)| key == name) {
                self.wrong(
                    &place.at("required").at(i),
                    format!("`{name}` is required but not described"),
                    "add it to properties",
                );
            }
        }
        if required.len() > 64 {
            self.wrong(
                place,
                "more than 64 required members",
                "the validator's mask has 64 bits: split the object",
            );
        }
        let mut list: Vec<Member> = Vec::new();
        for (name, schema) in properties {
            let place = place.at("properties").at(name);
            let swift_name = self.swift_name(&place, name, schema);
            let own = [Some(name), swift_name.as_ref()];
            let collides = |other: &String| own.iter().flatten().any(|n| fold(n) == fold(other));
            let twin = list.iter().find(|member| {
                collides(&member.name) || member.swift_name.as_ref().is_some_and(collides)
            });
            if let Some(twin) = twin {
                let problem = format!(
                    "`{name}` and `{}` differ only by case or punctuation",
                    twin.name
                );
                self.wrong(
                    &place,
                    problem,
                    "rename one: generated fields would collide",
                );
            }
            let ty = self.read_type(file, &place, schema, false);
            list.push(Member {
                name: name.clone(),
                patch: self.patch(&place, schema, &ty),
                swift_name,
                since: schema.get("x-since").and_then(natural).unwrap_or(0),
                ty,
                required: required.contains(name),
                description: self.description(&place, schema),
            });
        }
        let extra = match schema.get("additionalProperties") {
            Some(Tree::Bool(false)) => Extra::Closed,
            Some(Tree::Bool(true)) => Extra::Ignored,
            Some(other) => Extra::Kept(Box::new(self.read_type(
                file,
                &place.at("additionalProperties"),
                other,
                false,
            ))),
            None => {
                self.wrong(
                    place,
                    "an object states what else it may hold",
                    "add additionalProperties: false (closed), true (ignored) or a schema (kept)",
                );
                Extra::Closed
            }
        };
        Object {
            members: list,
            extra,
        }
    }

    /// `x-swift-name` of a member; one that Swift cannot have without is refused.
    fn swift_name(&mut self, place: &Place, name: &str, schema: &Tree) -> Option<String> {
        let given = schema.get("x-swift-name").and_then(Tree::as_str);
        let fits = |name: &str| {
            name != "self"
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
        };
        match given {
            Some(given) if !fits(given) => self.wrong(
                &place.at("x-swift-name"),
                format!("`{given}` is no name for a member in Swift"),
                "write camelCase letters and digits",
            ),
            None if name == "self" => self.wrong(
                place,
                "Swift has no member called `self`",
                "add \"x-swift-name\", the name that it has there",
            ),
            _ => {}
        }
        given.map(str::to_owned)
    }

    fn patch(&mut self, place: &Place, schema: &Tree, ty: &Type) -> bool {
        let patch = matches!(schema.get("x-patch"), Some(Tree::Bool(true)));
        if patch && !matches!(ty, Type::Nullable(_)) {
            self.wrong(
                place,
                "x-patch needs a nullable member",
                "write anyOf: [T, {\"type\":\"null\"}]",
            );
        }
        patch
    }

    fn lenient_members(&mut self, file: &str, place: &Place, tree: &Tree) -> Vec<Member> {
        members(Some(tree))
            .iter()
            .map(|(name, schema)| {
                let place = place.at(name);
                Member {
                    name: name.clone(),
                    ty: self.read_type(file, &place, schema, false),
                    required: false,
                    patch: false,
                    swift_name: self.swift_name(&place, name, schema),
                    since: schema.get("x-since").and_then(natural).unwrap_or(0),
                    description: self.description(&place, schema),
                }
            })
            .collect()
    }

    pub(super) fn description(&mut self, place: &Place, schema: &Tree) -> String {
        match schema.get("description").and_then(Tree::as_str) {
            Some(text) if !text.trim().is_empty() => text.to_owned(),
            _ => {
                self.wrong(
                    place,
                    "has no description",
                    "say what it is: it becomes the documentation",
                );
                String::new()
            }
        }
    }

    pub(super) fn examples(&mut self, schema: &Tree) -> Vec<Tree> {
        match schema.get("examples") {
            Some(Tree::Array(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn counter_examples(&mut self, place: &Place, schema: &Tree) -> Vec<CounterExample> {
        let Some(Tree::Array(items)) = schema.get("x-counterExamples") else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let text = |key| item.get(key).and_then(Tree::as_str).map(str::to_owned);
            match (text("why"), item.get("value"), text("violations")) {
                (Some(why), Some(value), Some(violations)) => out.push(CounterExample {
                    why,
                    value: value.clone(),
                    violations,
                }),
                _ => self.wrong(
                    &place.at("x-counterExamples").at(i),
                    "a counter-example has why, value and violations",
                    "add what is missing; violations is the text that the gateway answers",
                ),
            }
        }
        out
    }
}

const UNION: &str = "write inline closed objects that share one required member with a one-value enum, or only $refs";

/// Resolves the file part of a reference against the file it stands in.
fn resolve_path(file: &str, path: &str) -> String {
    if path.is_empty() {
        return file.to_owned();
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Spelling as field names see it.
fn fold(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The known name closest to a misspelt one, if any is close.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    const CLOSE: f32 = 0.7;
    known
        .map(|candidate| {
            let diff = similar::TextDiff::from_chars(name, candidate.as_str());
            (diff.ratio(), candidate)
        })
        .filter(|(ratio, _)| *ratio >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn number(tree: &Tree) -> Option<f64> {
    match tree {
        Tree::Number(number) => number.as_f64(),
        _ => None,
    }
}

fn integer(tree: &Tree) -> Option<i64> {
    match tree {
        Tree::Number(number) => number.as_i64(),
        _ => None,
    }
}

fn natural(tree: &Tree) -> Option<u64> {
    match tree {
        Tree::Number(number) => number.as_u64(),
        _ => None,
    }
}
