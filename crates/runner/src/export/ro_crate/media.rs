//! What kind of file it is, by its ending.

/// The endings that stages write, with their media types.
const TYPES: [(&str, &str); 21] = [
    ("bin", "application/octet-stream"),
    ("cff", "application/yaml"),
    ("csv", "text/csv"),
    ("gz", "application/gzip"),
    ("html", "text/html"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("md", "text/markdown"),
    ("npy", "application/x-npy"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("py", "text/x-python"),
    ("sh", "application/x-sh"),
    ("svg", "image/svg+xml"),
    ("tex", "application/x-tex"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// The media type of a file of this name.
pub fn of(path: &str) -> Option<&'static str> {
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1.to_lowercase();
    TYPES.iter().find(|(known, _)| *known == ending).map(|(_, media)| *media)
}
