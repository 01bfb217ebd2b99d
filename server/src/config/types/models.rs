//! `models`: who offers which models.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

/// `models`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Models {
    /// Whether configured providers add to the built-in catalogue or stand alone.
    pub mode: ModelsMode,
    /// Providers by id, the part of a model's name before the slash.
    pub providers: BTreeMap<String, Provider>,
}

/// `models.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelsMode {
    /// Beside the built-in catalogue.
    #[default]
    Merge,
    /// Instead of it.
    Replace,
}

/// One of `models.providers`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// URL that the API's paths are appended to.
    #[schemars(length(min = 1))]
    pub base_url: String,
    /// The key itself, or the name of an environment variable that holds it (resolved on load).
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub api_key: Option<SecretString>,
    /// Which API it speaks; a model may differ.
    #[serde(default)]
    pub api: Option<ModelApi>,
    /// What sort of key it is.
    #[serde(default)]
    pub auth: ProviderAuth,
    /// Whether the key is sent as a bearer token where the API has a header of its own for keys.
    #[serde(default)]
    pub auth_header: bool,
    /// Headers added to every request.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub headers: BTreeMap<String, SecretString>,
    /// What it offers.
    #[serde(default)]
    pub models: Vec<Model>,
}

/// What sort of key a provider takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderAuth {
    /// A key, shown as the API wants it.
    #[default]
    ApiKey,
    /// The credentials of Amazon's tools.
    AwsSdk,
    /// A token of a login, sent as a bearer token.
    Oauth,
    /// Any other token, sent as a bearer token.
    Token,
}

/// An API that model providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelApi {
    /// OpenAI chat completions and all that imitate them.
    OpenaiCompletions,
    /// OpenAI responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Google Gemini.
    GoogleGenerativeAi,
    /// GitHub Copilot.
    GithubCopilot,
    /// Amazon Bedrock.
    BedrockConverseStream,
}

impl ModelApi {
    /// The name in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GoogleGenerativeAi => "google-generative-ai",
            Self::GithubCopilot => "github-copilot",
            Self::BedrockConverseStream => "bedrock-converse-stream",
        }
    }
}

/// One of `models.providers.<id>.models`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Name at the provider, the part after the slash.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Display name; the id when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Which API it is reached by, when not the provider's.
    #[serde(default)]
    pub api: Option<ModelApi>,
    /// Whether it can reason before it answers.
    #[serde(default)]
    pub reasoning: bool,
    /// What it takes.
    #[serde(default = "text_only")]
    pub input: Vec<InputKind>,
    /// Price per million tokens; what it costs is unknown when absent.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// Context window in tokens.
    #[serde(default)]
    pub context_window: Option<NonZeroU64>,
    /// Longest answer in tokens.
    #[serde(default)]
    pub max_tokens: Option<NonZeroU64>,
    /// Headers added to its requests.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub headers: BTreeMap<String, SecretString>,
}

fn text_only() -> Vec<InputKind> {
    vec![InputKind::Text]
}

/// What a model takes as input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Text.
    Text,
    /// Images.
    Image,
}

/// Price per million tokens, in the currency of the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cost {
    /// Prompt tokens.
    pub input: f64,
    /// Answer tokens.
    pub output: f64,
    /// Prompt tokens read from a cache.
    pub cache_read: f64,
    /// Prompt tokens written to a cache.
    pub cache_write: f64,
}
