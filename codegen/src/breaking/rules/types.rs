//! Rules of types. A reader breaks on what it does not take; so what narrows params breaks old clients,
//! what widens them breaks old servers, and results are the other way round.

use super::Verdict::{BreaksBoth, BreaksClients, BreaksServers, Documentation, Safe};
use super::{Rule, table};

table! {
    TYPE_CHANGED [BreaksBoth, BreaksBoth]
        "a value has another type"
        "neither side reads what the other writes";
    TYPE_NARROWED [BreaksClients, BreaksServers]
        "a type takes less than before: anything to something, number to integer, string to a set of words"
        "the reader refuses part of what the writer was right to write";
    TYPE_WIDENED [BreaksServers, BreaksClients]
        "a type takes more than before"
        "the reader gets what it was never told of";
    NULL_REFUSED [BreaksClients, BreaksServers]
        "null is no longer allowed"
        "the reader refuses a null that the writer was right to write";
    NULL_ALLOWED [BreaksServers, BreaksClients]
        "null is allowed now"
        "the reader gets a null that it was never told of";
    BOUND_NARROWED [BreaksClients, BreaksServers]
        "a value, length or count has a tighter bound"
        "the reader refuses part of what the writer was right to write";
    BOUND_WIDENED [BreaksServers, BreaksClients]
        "a value, length or count has a wider bound"
        "the reader gets values beyond the bound that it knows";
    WORD_REMOVED [BreaksClients, BreaksServers]
        "a set of words lost one"
        "the reader refuses a word that the writer was right to write";
    WORD_ADDED [BreaksServers, BreaksClients]
        "a set of words has a new one"
        "the sets are closed: a reader refuses a word that it does not know, and words have no x-since";
    VARIANT_REMOVED [BreaksClients, BreaksServers]
        "a union lost a variant"
        "the reader refuses a variant that the writer was right to write";
    VARIANT_ADDED [BreaksServers, BreaksClients]
        "a union has a new variant"
        "a reader refuses a variant that it does not know, and variants have no x-since";
    TAG_CHANGED [BreaksBoth, BreaksBoth]
        "another member tells the variants of a union apart"
        "neither side finds the tag of the other";
    OPTIONAL_BECAME_REQUIRED [BreaksClients, BreaksServers]
        "a member that could be left out has to be there"
        "the reader misses what the writer was right to leave out";
    REQUIRED_BECAME_OPTIONAL [BreaksServers, BreaksClients]
        "a member that had to be there can be left out"
        "the reader misses what it counts on";
    OPTIONAL_ADDED [BreaksServers, Safe]
        "a closed object has a new member that can be left out"
        "old clients do not send it; an old server refuses it from new ones. Clients pass over members that they do not know";
    OPTIONAL_ADDED_TO_OPEN [Safe, Safe]
        "an open object has a new member that can be left out"
        "readers of an open object pass over, or keep, what they do not know";
    ADDED_WITH_SINCE [Safe, Safe]
        "a new member with an x-since above the recorded version"
        "the negotiated version decides: older connections neither send nor get it";
    REQUIRED_ADDED [BreaksBoth, BreaksServers]
        "a closed object has a new member that has to be there"
        "old clients do not send it and old servers refuse it; new clients miss it in what old servers send";
    REQUIRED_ADDED_TO_OPEN [BreaksClients, BreaksServers]
        "an open object has a new member that has to be there"
        "the new reader misses it in what the old writer sends";
    FRAME_MEMBER_ADDED [BreaksServers, BreaksClients]
        "a frame, or an object that only frames hold, has a new member"
        "clients check frames strictly: one with an unknown member is invisible to them; x-since does not reach here";
    OPTIONAL_REMOVED [BreaksClients, BreaksClients]
        "a member that could be left out is gone"
        "old clients that send it are refused or no longer heard, those that show it find nothing";
    REQUIRED_REMOVED [BreaksBoth, BreaksClients]
        "a member that had to be there is gone"
        "as above; and new clients do not send what old servers count on";
    OBJECT_CLOSED [BreaksClients, Safe]
        "an object refuses members that it passed over before"
        "old clients could send more; what clients read they pass over";
    OBJECT_OPENED [BreaksServers, Safe]
        "an object passes over members that it refused before"
        "new clients can send more than old servers take; what clients read they pass over";
    MAP_REMOVED [BreaksClients, BreaksClients]
        "an object no longer keeps members of free names"
        "what old clients send is refused or lost, what they read is missing";
    MAP_ADDED [BreaksServers, Safe]
        "an object keeps members of free names now"
        "old servers refuse or lose them; old clients pass over them";
    LENIENT_REMOVED [BreaksClients, BreaksServers]
        "a value that was not validated is validated now"
        "wrong members used to count as absent and are refused now";
    LENIENT_ADDED [BreaksServers, BreaksClients]
        "a value is no longer validated"
        "the reader of old still refuses what the writer may now write";
    PATCH_ADDED [BreaksBoth, Safe]
        "null at a member clears, where it meant nothing before"
        "an old client's null now clears; an old server does not clear for a new client";
    PATCH_REMOVED [BreaksClients, Safe]
        "null at a member no longer clears"
        "an old client's null does not clear any more";
    SINCE_RAISED [BreaksClients, BreaksClients]
        "a member begins in a later version"
        "clients of the versions between lose it";
    SINCE_LOWERED [BreaksServers, Safe]
        "a member begins in an earlier version"
        "new clients send it in a version in which old servers refuse it";
    SECRET_CHANGED [Documentation, Documentation]
        "a text or an open value became a secret, or none any more"
        "it concerns logs, not the wire";
    TYPE_DESCRIBED [Documentation, Documentation]
        "words about a definition, member or variant differ"
        "they are for people";
    DETAILS_REMOVED [BreaksClients, BreaksClients]
        "a definition that only words refer to, such as details of an error, is gone"
        "old clients read it";
}
