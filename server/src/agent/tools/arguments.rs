//! Reading the arguments of a call; what is wrong with them is told to the model.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Output;

/// The arguments, or what to tell the model about them.
pub(super) fn read<T: DeserializeOwned>(arguments: &Value) -> Result<T, Output> {
    if !arguments.is_object() {
        return Err(Output::bad("The arguments are not a JSON object."));
    }
    T::deserialize(arguments)
        .map_err(|error| Output::bad(format!("The arguments are not right: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Wanted {
        path: String,
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (arguments, told) in [
            (json!({"path": "a", "more": 1}), Ok("a")),
            (
                json!({}),
                Err("The arguments are not right: missing field `path`."),
            ),
            (json!("{\"pa"), Err("The arguments are not a JSON object.")),
            (json!(null), Err("The arguments are not a JSON object.")),
        ] {
            let read = read::<Wanted>(&arguments)
                .map(|wanted| wanted.path)
                .map_err(|output| output.text);
            let told = told.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(read, told, "{arguments}");
        }
    }
}
