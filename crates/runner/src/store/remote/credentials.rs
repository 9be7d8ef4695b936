//! The credentials of S3 in the files of `aws configure`, which `object_store` does not read: `~/.aws/credentials` and `~/.aws/config`.
//! They are only read, never written.

use std::collections::HashMap;
use std::path::PathBuf;

/// What a profile says.
#[derive(Default, PartialEq, Eq)]
pub struct Profile {
    pub key: Option<String>,
    pub secret: Option<String>,
    pub token: Option<String>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
}

/// The profile that the environment names, or `default`.
pub fn profile() -> Profile {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = set("AWS_PROFILE").or_else(|| set("AWS_DEFAULT_PROFILE")).unwrap_or("default".to_owned());
    let file = |variable: &str, usual: &str| {
        let path =
            set(variable).map(PathBuf::from).or_else(|| Some(PathBuf::from(set("HOME")?).join(usual)))?;
        std::fs::read_to_string(path).ok()
    };
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials").unwrap_or_default();
    let config = file("AWS_CONFIG_FILE", ".aws/config").unwrap_or_default();
    read(&credentials, &config, &name)
}

fn read(credentials: &str, config: &str, name: &str) -> Profile {
    let titled = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let (mut own, settings) = (section(credentials, name), section(config, &titled));
    for (field, value) in settings {
        own.entry(field).or_insert(value);
    }
    Profile {
        key: own.remove("aws_access_key_id"),
        secret: own.remove("aws_secret_access_key"),
        token: own.remove("aws_session_token"),
        region: own.remove("region"),
        endpoint: own.remove("endpoint_url"),
    }
}

/// The fields of a section of a file, by name; nested ones are left out.
fn section(text: &str, name: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(title) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = title.trim() == name;
        } else if inside
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((field, value)) = trimmed.split_once('=')
        {
            fields.insert(field.trim().to_owned(), value.trim().to_owned());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_both_files() {
        let credentials =
            "[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n[lab]\naws_access_key_id = C\n";
        let config = "[default]\nregion = eu-1\n[profile lab]\nregion=us-2\ns3 =\n  endpoint_url = nested\nendpoint_url = https://x\n";
        let default = read(credentials, config, "default");
        assert!(default.key.as_deref() == Some("A") && default.secret.as_deref() == Some("B"));
        assert!(default.region.as_deref() == Some("eu-1") && default.endpoint.is_none());
        let lab = read(credentials, config, "lab");
        assert!(lab.key.as_deref() == Some("C") && lab.secret.is_none());
        assert!(lab.region.as_deref() == Some("us-2") && lab.endpoint.as_deref() == Some("https://x"));
        assert!(read(credentials, config, "other") == Profile::default());
    }
}
