//! The event table: payloads, who may see them, what becomes of them when a reader is slow.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::newest_member;
use crate::emit::rust::names::{ident, pascal, table};
use crate::emit::rust::protocol::scope_name;
use crate::model::{Drop, Model, Type};

pub(in crate::emit::rust) fn events(model: &Model) -> TokenStream {
    let names: Vec<_> = model
        .events()
        .map(|e| format_ident!("{}", pascal(&e.name)))
        .collect();
    let wires: Vec<_> = model.events().map(|e| e.name.as_str()).collect();
    let docs: Vec<_> = model
        .events()
        .map(|e| format!(" `{}`: {}", e.name, e.summary))
        .collect();
    let types: Vec<_> = model.events().map(|e| ident(&e.payload)).collect();
    let tables: Vec<_> = model.events().map(|e| table(&e.payload)).collect();
    let specs = model.events().map(|event| {
        let variant = format_ident!("{}", pascal(&event.name));
        let (name, broadcast, version) = (&event.name, event.broadcast, event.state_version);
        let roles = event.roles.iter().map(|role| {
            let role = format_ident!("{}", pascal(role));
            quote!(Role::#role)
        });
        let scopes = event.scopes.iter().map(|scope| {
            let scope = format_ident!("{}", scope_name(scope));
            quote!(Scope::#scope)
        });
        let table = table(&event.payload);
        let since = Literal::u64_unsuffixed(event.since);
        let newest = Literal::u64_unsuffixed(newest_member(model, &[&event.payload]));
        quote! {
            EventSpec {
                kind: EventKind::#variant,
                name: #name,
                broadcast: #broadcast,
                roles: &[#(#roles),*],
                scopes: &[#(#scopes),*],
                state_version: #version,
                since: #since,
                payload: &tables::#table,
                newest_member: #newest,
            }
        }
    });
    let droppable = model.events().map(|event| {
        let variant = format_ident!("{}", pascal(&event.name));
        match &event.drop {
            Drop::Never => quote!(Event::#variant(_) => false),
            Drop::Always => quote!(Event::#variant(_) => true),
            Drop::When { member, equals } => {
                let field = ident(&crate::emit::rust::names::snake(member));
                let ty = match &model.resolve(&Type::Ref(event.payload.clone())) {
                    Type::Object(object) => object.members.iter().find_map(|m| match &m.ty {
                        Type::Ref(name) if m.name == *member => Some(ident(name)),
                        _ => None,
                    }),
                    _ => None,
                };
                let ty = ty.unwrap_or_else(|| ident("String"));
                let value = format_ident!("{}", pascal(equals));
                quote!(Event::#variant(payload) => matches!(payload.#field, crate::types::#ty::#value))
            }
        }
    });
    let prefixes = wires
        .iter()
        .map(|wire| format!("{{\"type\":\"event\",\"event\":\"{wire}\",\"payload\":"));
    let count = names.len();
    quote! {
        //! Every event: payload, audience, what happens for slow readers.

        use crate::protocol::{Role, Scope};
        use crate::rt::Node;
        use crate::tables;

        /// Which event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { #(#[doc = #docs] #names),* }

        impl EventKind {
            /// All events in group order.
            pub const ALL: [EventKind; #count] = [#(EventKind::#names),*];

            /// As on the wire.
            pub const fn name(self) -> &'static str {
                match self { #(EventKind::#names => #wires),* }
            }

            /// From the wire; `None` for a name that the protocol does not have.
            pub fn from_name(name: &str) -> Option<EventKind> {
                match name { #(#wires => Some(EventKind::#names),)* _ => None }
            }

            /// Everything known about it.
            pub fn spec(self) -> &'static EventSpec {
                &EVENTS[self as usize]
            }

            /// The text of its frames up to the payload.
            pub const fn frame_head(self) -> &'static str {
                match self { #(EventKind::#names => #prefixes),* }
            }

            /// The start of a frame, [`Event::frame_start`], as a client of an older protocol version gets it:
            /// without members that are newer.
            pub fn frame_start_at(self, version: u64, start: &str) -> String {
                match start.strip_prefix(self.frame_head()) {
                    Some(payload) => {
                        let payload = crate::rt::payload_at(&[self.spec().payload], version, payload);
                        [self.frame_head(), &payload].concat()
                    }
                    None => start.to_owned(),
                }
            }
        }

        /// Everything known about an event.
        pub struct EventSpec {
            /// Which.
            pub kind: EventKind,
            /// As on the wire.
            pub name: &'static str,
            /// To everyone who may see it, with `seq`; otherwise to one connection, without.
            pub broadcast: bool,
            /// Roles that receive it.
            pub roles: &'static [Role],
            /// Any one of these scopes is needed; empty for none.
            pub scopes: &'static [Scope],
            /// Carries `stateVersion`.
            pub state_version: bool,
            /// First protocol version that has it.
            pub since: u64,
            /// Constraints of the payload.
            pub payload: &'static Node,
            /// Version of the newest member of the payload; 0 when all versions have all of them.
            pub newest_member: u64,
        }

        /// All events in group order; indexed by `EventKind as usize`.
        pub static EVENTS: [EventSpec; #count] = [#(#specs),*];

        /// An event with its payload.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { #(#[doc = #docs] #names(crate::types::#types)),* }

        impl Event {
            /// Which event.
            pub const fn kind(&self) -> EventKind {
                match self { #(Event::#names(_) => EventKind::#names),* }
            }

            /// May it be left out for a connection whose outbound buffer is full?
            pub fn droppable(&self) -> bool {
                match self { #(#droppable),* }
            }

            /// The frame text up to the payload's end: `{"type":"event","event":…,"payload":…`.
            /// The caller appends `,"seq":n`, `,"stateVersion":…` and `}`.
            pub fn frame_start(&self) -> Vec<u8> {
                match self { #(Event::#names(payload) => crate::rt::frame_start(EventKind::#names.frame_head(), payload)),* }
            }

            /// Decodes and checks a payload.
            pub fn decode(kind: EventKind, payload: &str) -> Result<Event, serde_json::Error> {
                match kind {
                    #(EventKind::#names => crate::rt::decode(&tables::#tables, payload).map(Event::#names)),*
                }
            }

            /// Decodes a payload as a client should: members that a newer server adds are ignored.
            pub fn read(kind: EventKind, payload: &str) -> Result<Event, serde_json::Error> {
                match kind {
                    #(EventKind::#names => serde_json::from_str(payload).map(Event::#names)),*
                }
            }
        }
    }
}
