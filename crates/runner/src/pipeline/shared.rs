//! What many tasks have in common is kept once: instances of a stage mostly have the same outputs and resources.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// Written as the value itself.
pub fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    T::serialize(value, serializer)
}

pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<T>, D::Error> {
    T::deserialize(deserializer).map(Arc::new)
}

/// The value that came last, if this is the same once more.
pub fn same_as<T: PartialEq>(last: &mut Option<Arc<T>>, value: Arc<T>) -> Arc<T> {
    match last {
        Some(known) if **known == *value => known.clone(),
        _ => last.insert(value).clone(),
    }
}
