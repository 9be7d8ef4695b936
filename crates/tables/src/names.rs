//! Lists of names and the nearest of them, for messages.

/// `a`, `b` and `c`, in backticks.
pub fn list(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}

/// `; did you mean ...?`, when one of the names is close.
pub fn nearest(name: &str, names: &[String]) -> String {
    let best = names.iter().map(|other| (strsim::jaro_winkler(name, other), other));
    match best.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((closeness, other)) if closeness > 0.75 => format!("; did you mean `{other}`?"),
        _ => String::new(),
    }
}
