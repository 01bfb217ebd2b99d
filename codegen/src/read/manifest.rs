//! `protocol.json` and the methods and events of the groups.

mod calls;

use openclaw_schema_runtime::Tree;

use super::Reader;
use super::types::nearest;
use crate::model::{
    Access, Close, Definition, Described, ErrorText, Group, Limit, Model, Role, Scope, Text, Type,
};
use crate::source::{PROTOCOL, Place, Source, members, strings};

impl Reader {
    pub(super) fn manifest(&mut self, source: &Source, definitions: Vec<Definition>) -> Model {
        let tree = &source.protocol;
        let place = Place::new(PROTOCOL);
        let mut model = Model {
            name: text(tree, "name"),
            version: number(tree, "version"),
            oldest: match number(tree, "oldestVersion") {
                0 => number(tree, "version"),
                oldest => oldest,
            },
            description: text(tree, "description"),
            roles: named(tree, "roles", |name, role| Role {
                name: name.to_owned(),
                description: text(role, "description"),
                default_scopes: strings(role, "defaultScopes"),
            }),
            scopes: named(tree, "scopes", |name, scope| Scope {
                name: name.to_owned(),
                description: text(scope, "description"),
                implies: strings(scope, "implies"),
            }),
            unlisted: Access {
                role: String::new(),
                scopes: Vec::new(),
            },
            error_codes: named(tree, "errorCodes", |name, code| Described {
                name: name.to_owned(),
                description: text(code, "description"),
            }),
            closes: named(tree, "closes", |name, close| Close {
                name: name.to_owned(),
                code: u16::try_from(number(close, "code")).unwrap_or(0),
                reason: text(close, "reason"),
                description: text(close, "description"),
            }),
            limits: named(tree, "limits", |name, limit| Limit {
                name: name.to_owned(),
                value: number(limit, "value"),
                unit: text(limit, "unit"),
                description: text(limit, "description"),
            }),
            errors: named(tree, "errors", |name, error| ErrorText {
                name: name.to_owned(),
                code: text(error, "code"),
                text: text(error, "text"),
                description: text(error, "description"),
            }),
            texts: named(tree, "texts", |name, value| Text {
                name: name.to_owned(),
                text: value
                    .as_str()
                    .map_or_else(|| text(value, "text"), str::to_owned),
            }),
            feature_methods: Vec::new(),
            feature_events: Vec::new(),
            groups: Vec::new(),
            definitions,
        };
        if let Some(unlisted) = tree.get("unlisted") {
            model.unlisted = self.access(&model, &place.at("unlisted"), unlisted);
        }
        for role in named(tree, "roles", |name, role| {
            (name.to_owned(), strings(role, "defaultScopes"))
        }) {
            self.known_scopes(
                &model,
                &place.at("roles").at(&role.0).at("defaultScopes"),
                &role.1,
            );
        }
        for (i, error) in model.errors.iter().enumerate() {
            if !model.error_codes.iter().any(|code| code.name == error.code) {
                let _ = i;
                self.errors
                    .push(place.at("errors").at(&error.name).at("code").error(
                        format!("`{}` is not an error code", error.code),
                        "use one of errorCodes",
                    ));
            }
        }
        for group in source.groups() {
            let file = format!("groups/{group}.json");
            let read = self.group(&model, &file, &source.files[&file]);
            for method in &read.methods {
                if model.methods().any(|known| known.name == method.name) {
                    self.wrong(
                        &Place::new(&file).at("methods").at(&method.name),
                        format!("method `{}` is defined in another group too", method.name),
                        "keep one of them",
                    );
                }
            }
            for event in &read.events {
                if model.events().any(|known| known.name == event.name) {
                    self.wrong(
                        &Place::new(&file).at("events").at(&event.name),
                        format!("event `{}` is defined in another group too", event.name),
                        "keep one of them",
                    );
                }
            }
            model.groups.push(read);
        }
        self.emitted(&model);
        // hello-ok lists what exists, in the order that the manifest fixes.
        if let Some(features) = tree.get("features") {
            let methods = strings(features, "methods");
            let events = strings(features, "events");
            for (list, name) in methods
                .iter()
                .filter(|name| !model.methods().any(|method| method.name == **name))
                .map(|name| ("methods", name))
                .chain(
                    events
                        .iter()
                        .filter(|name| !model.events().any(|event| event.name == **name))
                        .map(|name| ("events", name)),
                )
            {
                self.errors.push(place.at("features").at(list).error(
                    format!("`{name}` is defined in no group"),
                    "define it, or take it off the list: clients detect features by it",
                ));
            }
            for extension in model.methods().filter(|method| method.extension) {
                if methods.contains(&extension.name) {
                    self.errors.push(place.at("features").at("methods").error(
                        format!("`{}` is an extension", extension.name),
                        "take it off the list, which holds what the original's clients know",
                    ));
                }
            }
            model.feature_methods = methods;
            for event in model.events() {
                if !events.contains(&event.name) {
                    self.errors.push(place.at("features").at("events").error(
                        format!("event `{}` is not listed", event.name),
                        "add it: clients detect features by this list",
                    ));
                }
            }
            model.feature_events = events;
        }
        model
    }

    fn group(&mut self, model: &Model, file: &str, tree: &Tree) -> Group {
        let place = Place::new(file);
        let methods = members(tree.get("methods"))
            .iter()
            .map(|(name, method)| {
                self.method(model, file, &place.at("methods").at(name), name, method)
            })
            .collect();
        let events = members(tree.get("events"))
            .iter()
            .map(|(name, event)| self.event(model, file, &place.at("events").at(name), name, event))
            .collect();
        Group {
            name: text(tree, "group"),
            description: text(tree, "description"),
            methods,
            events,
        }
    }

    fn access(&mut self, model: &Model, place: &Place, tree: &Tree) -> Access {
        let role = text(tree, "role");
        self.known_role(model, &place.at("role"), &role);
        let scopes = strings(tree, "scopes");
        self.known_scopes(model, &place.at("scopes"), &scopes);
        Access { role, scopes }
    }

    fn known_role(&mut self, model: &Model, place: &Place, role: &str) {
        if !model.roles.iter().any(|known| known.name == role) {
            self.wrong(
                place,
                format!("`{role}` is not a role"),
                "use one of \"roles\" in protocol.json",
            );
        }
    }

    fn known_scopes(&mut self, model: &Model, place: &Place, scopes: &[String]) {
        for (i, scope) in scopes.iter().enumerate() {
            if !model.scopes.iter().any(|known| known.name == *scope) {
                let near = nearest(scope, &mut model.scopes.iter().map(|s| &s.name));
                self.wrong(
                    &place.at(i),
                    format!("scope `{scope}` does not exist"),
                    near.map_or(
                        "use one of \"scopes\" in protocol.json".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                );
            }
        }
    }

    /// A manifest entry `{"$ref": …}` that names a definition.
    fn definition_at(&mut self, file: &str, place: &Place, tree: &Tree, key: &str) -> String {
        let Some(schema) = tree.get(key) else {
            self.wrong(
                place,
                format!("has no {key}"),
                "refer to a definition: {\"$ref\": \"#/$defs/Name\"}",
            );
            return String::new();
        };
        match self.read_type(file, &place.at(key), schema, false) {
            Type::Ref(name) => name,
            _ => {
                self.wrong(
                    &place.at(key),
                    "is not a reference",
                    "name the type under $defs and refer to it",
                );
                String::new()
            }
        }
    }

    fn summary(&mut self, place: &Place, tree: &Tree) -> String {
        let summary = text(tree, "summary");
        if summary.is_empty() {
            self.wrong(place, "has no summary", "say in one sentence what it does");
        }
        summary
    }
}

fn named<T>(tree: &Tree, key: &str, read: impl Fn(&str, &Tree) -> T) -> Vec<T> {
    members(tree.get(key))
        .iter()
        .map(|(name, value)| read(name, value))
        .collect()
}

fn text(tree: &Tree, key: &str) -> String {
    tree.get(key)
        .and_then(Tree::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(tree: &Tree, key: &str) -> u64 {
    match tree.get(key) {
        Some(Tree::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    }
}
