//! Rules of everything but types: versions, methods, events, rights, errors, closes, limits, texts.

use super::Verdict::{BreaksBoth, BreaksClients, BreaksServers, Documentation, Safe};
use super::{Rule, table};

table! {
    VERSION_ADDED [Safe]
        "a newer, or again an older, protocol version is spoken"
        "both sides settle on one that they share";
    VERSION_REMOVED [BreaksBoth]
        "a protocol version is no longer spoken"
        "who speaks only that one is refused, on either side";
    METHOD_REMOVED [BreaksClients]
        "a method is gone"
        "old clients call it";
    METHOD_ADDED [Safe]
        "a new method that hello-ok lists"
        "clients look for it in features; an old server does not list it";
    METHOD_ADDED_UNLISTED [BreaksServers]
        "a new method that hello-ok does not list, of a version that old servers speak"
        "new clients cannot know that an old server lacks it";
    METHOD_ADDED_EXTENSION [Safe]
        "a new method that is marked as an extension"
        "callers take the answer that the method is unknown for a server without it";
    METHOD_ADDED_WITH_SINCE [Safe]
        "a new method of a newer version"
        "the negotiated version decides";
    METHOD_SINCE_RAISED [BreaksClients]
        "a method begins in a later version"
        "it is unknown to clients of the versions between";
    METHOD_SINCE_LOWERED [BreaksServers]
        "a method begins in an earlier version"
        "new clients call it in a version in which old servers do not know it";
    ROLE_CHANGED [BreaksBoth]
        "another role may call a method"
        "callers of the former role are refused, those of the new one by old servers";
    SCOPES_NARROWED [BreaksClients]
        "a scope no longer lets a caller call a method"
        "old clients with that scope are refused";
    SCOPES_WIDENED [BreaksServers]
        "another scope lets a caller call a method"
        "new clients with that scope alone are refused by old servers";
    SCOPE_ADVICE_CHANGED [Safe]
        "an error names another scope as the missing one"
        "the same callers are refused; the words name the first scope of the list";
    CALL_PARAMS_CHANGED [Safe]
        "typed calls take another type, params stay"
        "params admit both; a program meets the new type when it is compiled anew";
    STAGES_CHANGED [BreaksBoth]
        "a method answers once instead of twice, or twice instead of once"
        "the caller waits for what does not come, or gets what it does not wait for";
    WHEN_CHANGED [BreaksBoth]
        "another member or value tells the first of two answers from the last"
        "the caller takes one for the other";
    FAILURE_REMOVED [BreaksClients]
        "no payload comes beside an error any more"
        "old clients read it";
    FAILURE_ADDED [Safe]
        "a payload may come beside an error"
        "old clients pass over it";
    EFFECT_BECAME_WRITE [BreaksClients]
        "a method that only read changes something"
        "old clients repeat it without harm in mind";
    EFFECT_BECAME_READ [BreaksServers]
        "a method that changed something only reads"
        "new clients may repeat it, and old servers do it twice";
    KEY_REMOVED [BreaksClients]
        "a method no longer knows a retry by its key"
        "an old client's retry is done twice";
    KEY_ADDED [BreaksServers]
        "a method knows a retry by a key"
        "a new client's retry is done twice by an old server";
    KEY_CHANGED [BreaksBoth]
        "the key stands elsewhere, or shares its space with other methods"
        "a retry is not known, or taken for another request";
    KEY_TTL_LOWERED [BreaksClients]
        "a key is forgotten earlier"
        "an old client's late retry is done twice";
    KEY_TTL_RAISED [BreaksServers]
        "a key is forgotten later"
        "a new client's late retry is done twice by an old server";
    METHOD_ERRORS_CHANGED [Safe]
        "the error codes that a method lists differ"
        "clients treat a code that they do not know like UNAVAILABLE";
    EMITS_REMOVED [BreaksClients]
        "a method no longer causes an event"
        "old clients wait for it";
    EMITS_ADDED [Safe]
        "a method causes an event"
        "clients pass over events that they do not wait for";
    DISPATCH_CHANGED [BreaksBoth]
        "a method became part of the handshake, or is none any more"
        "it is refused where one side expects it";
    EVENT_REMOVED [BreaksClients]
        "an event is gone"
        "old clients wait for it";
    EVENT_ADDED [Safe]
        "a new event"
        "old clients pass over events that they do not know; new ones look for it in features";
    EVENT_SINCE_RAISED [BreaksClients]
        "an event begins in a later version"
        "clients of the versions between no longer get it";
    EVENT_SINCE_LOWERED [Safe]
        "an event begins in an earlier version"
        "clients pass over events that they do not know";
    AUDIENCE_NARROWED [BreaksClients]
        "a role or scope no longer gets an event"
        "old clients with it wait for it";
    AUDIENCE_WIDENED [BreaksServers]
        "another role or scope gets an event"
        "new clients with it wait in vain at an old server";
    DELIVERY_CHANGED [BreaksBoth]
        "an event became a broadcast with a number, or is none any more"
        "who gets it and what seq counts differ";
    DROP_ALLOWED [BreaksClients]
        "an event may be left out for a slow reader, or in more cases"
        "old clients count on getting it";
    DROP_REFUSED [BreaksServers]
        "an event is no longer left out for a slow reader, or in fewer cases"
        "new clients count on what old servers leave out";
    STATE_VERSION_REMOVED [BreaksClients]
        "an event no longer carries the state versions"
        "old clients read them";
    STATE_VERSION_ADDED [BreaksServers]
        "an event carries the state versions"
        "new clients miss them in what old servers send";
    FEATURE_REMOVED [BreaksClients]
        "hello-ok no longer lists a name that still exists"
        "clients take it for missing";
    FEATURE_ADDED [Safe]
        "hello-ok lists a name that existed before"
        "clients find what they could use anyway";
    FEATURES_REORDERED [Safe]
        "hello-ok lists the same names in another order"
        "clients look names up";
    CALLER_ROLE_REMOVED [BreaksClients]
        "a role is gone"
        "clients of that role are refused";
    CALLER_ROLE_ADDED [BreaksServers]
        "a new role"
        "old servers refuse clients of that role";
    DEFAULT_SCOPES_NARROWED [BreaksClients]
        "a connection that asked for no scopes may do less"
        "old clients that ask for none are refused";
    DEFAULT_SCOPES_WIDENED [BreaksServers]
        "a connection that asked for no scopes may do more"
        "new clients that ask for none are refused by old servers";
    SCOPE_REMOVED [BreaksClients]
        "a scope is gone"
        "clients that hold only that one may do nothing";
    SCOPE_ADDED [Safe]
        "a new scope"
        "old servers grant nothing for it, and nothing of theirs asks for it";
    IMPLIED_REMOVED [BreaksClients]
        "a scope no longer contains another"
        "clients that hold it may do less";
    IMPLIED_ADDED [BreaksServers]
        "a scope contains another"
        "new clients that hold only it are refused by old servers";
    UNLISTED_CHANGED [BreaksClients]
        "others learn that a method does not exist"
        "clients that try a name get another error";
    ERROR_CODE_REMOVED [Safe]
        "an error code is gone"
        "clients see one case less";
    ERROR_CODE_ADDED [Safe]
        "a new error code"
        "clients treat a code that they do not know like UNAVAILABLE";
    ERROR_REMOVED [BreaksClients]
        "a fixed error is gone, under any name"
        "clients match its text";
    ERROR_ADDED [Safe]
        "a new fixed error"
        "clients show a text that they do not know";
    ERROR_RENAMED [Documentation]
        "the same error has another name in the schema"
        "the name is not on the wire";
    ERROR_CHANGED [BreaksBoth]
        "code or text of a fixed error differ"
        "clients match both, old ones the old and new ones the new";
    CLOSE_REMOVED [BreaksClients]
        "a close is gone"
        "clients act on its code and reason";
    CLOSE_ADDED [Safe]
        "a new close"
        "clients reconnect after any close";
    CLOSE_CHANGED [BreaksBoth]
        "code or reason of a close differ"
        "clients act on both, old ones on the old and new ones on the new";
    LIMIT_LOWERED [BreaksClients]
        "a limit is lower"
        "old clients use what was allowed to them";
    LIMIT_RAISED [Safe]
        "a limit is higher"
        "what clients must know of it stands in hello-ok or in a type";
    LIMIT_UNIT_CHANGED [BreaksBoth]
        "a limit counts in another unit"
        "both sides take the number for something else";
    LIMIT_REMOVED [Safe]
        "a limit is no longer named"
        "the number itself is not on the wire";
    LIMIT_ADDED [Safe]
        "a limit is named"
        "the number itself is not on the wire";
    TEXT_REMOVED [BreaksClients]
        "a fixed text is gone"
        "clients match it";
    TEXT_ADDED [Safe]
        "a new fixed text"
        "clients show what they do not know";
    TEXT_CHANGED [BreaksBoth]
        "a fixed text differs"
        "clients match it, old ones the old and new ones the new";
    GROUP_CHANGED [Documentation]
        "a method or event stands in another group"
        "groups are not on the wire";
    DESCRIBED [Documentation]
        "a name, summary, description or reason differs"
        "they are for people";
}
