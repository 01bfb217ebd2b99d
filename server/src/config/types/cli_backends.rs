//! `agents.defaults.cliBackends`: programs that answer in place of a model.

use std::collections::BTreeMap;

use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

/// One of `agents.defaults.cliBackends`: a program that is told a conversation and prints the reply. Members that are absent
/// are those of the built-in backend of that name, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CliBackend {
    /// The program, by name or path.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// How it prints the reply.
    pub output: Option<CliOutput>,
    /// How it is told the conversation.
    pub input: Option<CliInput>,
    /// Argument before the name of the model; without it the program chooses.
    pub model_arg: Option<String>,
    /// Variables that it gets beside those of the gateway.
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub env: BTreeMap<String, SecretString>,
    /// Variables of the gateway that it does not get.
    pub clear_env: Vec<String>,
}

/// How a program prints its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CliOutput {
    /// One JSON object.
    Json,
    /// JSON objects, one a line.
    Jsonl,
    /// As it is.
    Text,
}

/// How a program is told the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CliInput {
    /// As its last argument; everybody on the machine can read it there.
    Arg,
    /// On its standard input.
    Stdin,
}
