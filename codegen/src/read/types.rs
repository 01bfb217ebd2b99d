//! The dialect: one JSON Schema node to one [`Type`].

mod dialect;
mod members;

use openclaw_schema_runtime::Tree;

use self::dialect::NOTES;
use super::Reader;
use crate::model::{CounterExample, Extra, Type};
use crate::source::{Place, members, strings};

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
