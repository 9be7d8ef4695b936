//! Parameters that choose one of several things: a map with one key, `{ddim: {eta: 0.5}}`, or the name alone,
//! `ddim`, when every setting is left at its default.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;
use std::iter;
use std::marker::PhantomData;

/// Reads an externally tagged enum, or one of its names. For `#[serde(deserialize_with)]`.
pub fn read<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Choice(PhantomData))
}

/// The schema of what [`read`] accepts. For `#[schemars(schema_with)]`.
pub fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    let object = schema.ensure_object();
    if let Some(Value::Array(variants)) = object.get_mut("oneOf") {
        let names: Vec<Value> =
            variants.iter().flat_map(|v| v["required"].as_array().cloned()).flatten().collect();
        variants.push(
            json!({"description": "The name alone, with the defaults.", "type": "string", "enum": names}),
        );
    }
    schema
}

struct Choice<T>(PhantomData<T>);

/// No settings: an empty map.
struct Nothing;

impl<'de, E: Error> IntoDeserializer<'de, E> for Nothing {
    type Deserializer = MapDeserializer<'de, iter::Empty<(&'static str, &'static str)>, E>;

    fn into_deserializer(self) -> Self::Deserializer {
        MapDeserializer::new(iter::empty())
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Choice<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or a map with one name and its settings")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        T::deserialize(MapAccessDeserializer::new(MapDeserializer::new(iter::once((name, Nothing)))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onsager_science::diffusion::discrete::objective::Objective;
    use onsager_science::diffusion::discrete::path_segment::PathAction;
    use onsager_science::diffusion::discrete::simple::Simple;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Holder {
        #[serde(deserialize_with = "super::read")]
        #[schemars(schema_with = "super::schema::<Objective>")]
        objective: Objective,
    }

    #[test]
    fn a_name_or_a_map() {
        let read = |text: &str| {
            serde_json::from_str::<Holder>(&format!("{{\"objective\": {text}}}"))
                .map(|holder| holder.objective)
        };
        assert_eq!(read("\"simple\"").unwrap(), Objective::Simple(Simple {}));
        assert_eq!(read("{\"simple\": {}}").unwrap(), Objective::Simple(Simple {}));
        assert_eq!(read("\"path-action\"").unwrap(), Objective::PathAction(PathAction::default()));
        let p = PathAction { k: 4, lambda: 0.5, ..PathAction::default() };
        assert_eq!(read("{\"path-action\": {\"k\": 4, \"lambda\": 0.5}}").unwrap(), Objective::PathAction(p));
        assert!(read("{\"path-action\": {\"kk\": 4}}").is_err());
        assert!(read("\"simpel\"").unwrap_err().to_string().contains("unknown variant `simpel`"));
        assert!(read("7").is_err());
        let schema = schemars::schema_for!(Holder).to_value().to_string();
        assert!(schema.contains(r#""enum":["simple","v-prediction","vlb","#), "{schema}");
    }
}
