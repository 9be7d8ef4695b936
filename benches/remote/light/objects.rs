//! Objects as files below a folder.

use crate::wire::{Answer, Problem, declared, escaped, receive, texts, within, xml};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use futures::stream;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Where files are until they have their name. No bucket begins with a dot.
const NEW: &str = ".new";
/// How much of a file is read at once: small enough to be still in the cache when it is sent.
const PIECE: usize = 256 << 10;

/// A file that is removed when nobody needs it any more, unless it was renamed.
struct Temporary(PathBuf, File);

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// An upload in parts. Those no longer than the first that came are written to one file: where they belong, if all but
/// the last are as long.
struct Upload {
    whole: Arc<Temporary>,
    slot: Option<u64>,
    parts: HashMap<String, Part>,
}

struct Part {
    file: Arc<Temporary>,
    at: u64,
    size: u64,
}

/// The objects of a folder, and the uploads to it.
pub struct Server {
    folder: PathBuf,
    uploads: Mutex<HashMap<String, Upload>>,
    count: AtomicU64,
}

impl Server {
    /// With the bucket `onsager`, and without what an earlier one left unfinished.
    pub fn new(folder: PathBuf) -> io::Result<Server> {
        fs::create_dir_all(folder.join("onsager"))?;
        fs::create_dir_all(folder.join(NEW))?;
        for entry in fs::read_dir(folder.join(NEW))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Server { folder, uploads: Mutex::default(), count: AtomicU64::default() })
    }

    /// Makes a bucket, unless it is there.
    pub fn make(&self, bucket: &str) -> Result<(), Problem> {
        if bucket.starts_with('.') || bucket.contains('/') {
            return Err(Problem::InvalidArgument);
        }
        Ok(fs::create_dir_all(self.folder.join(bucket))?)
    }

    /// The folder of a bucket.
    pub fn bucket(&self, bucket: &str) -> Result<PathBuf, Problem> {
        let path = self.folder.join(bucket);
        let there = !bucket.starts_with('.') && !bucket.contains('/') && path.is_dir();
        there.then_some(path).ok_or(Problem::NoSuchBucket)
    }

    /// The file of an object, there or not.
    pub fn path(&self, bucket: &str, key: &str) -> Result<PathBuf, Problem> {
        let valid = !key.split('/').any(|name| matches!(name, "" | "." | ".."));
        let path = self.bucket(bucket)?.join(key);
        valid.then_some(path).ok_or(Problem::NoSuchKey)
    }

    fn number(&self) -> String {
        self.count.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn temporary(&self) -> io::Result<Temporary> {
        let path = self.folder.join(NEW).join(self.number());
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Temporary(path, file))
    }

    /// Takes an object whole.
    pub async fn put(&self, bucket: &str, key: &str, request: Request) -> Answer {
        let (to, made, headers) = (self.path(bucket, key)?, self.temporary()?, request.headers().clone());
        receive(request, &made.1, 0).await?;
        Ok([(header::ETAG, place(&made, &to, &headers)?)].into_response())
    }

    /// Gives an object or a range of it, or only what is said of it.
    pub fn get(&self, bucket: &str, key: &str, request: &Request) -> Answer {
        let file = File::open(self.path(bucket, key)?).map_err(|_| Problem::NoSuchKey)?;
        let object = file.metadata()?;
        if !object.is_file() {
            return Err(Problem::NoSuchKey);
        }
        let (tag, size) = (etag(&object), object.len());
        let asked = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if asked(header::IF_MATCH).is_some_and(|wanted| wanted != tag) {
            return Err(Problem::PreconditionFailed);
        }
        let range = asked(header::RANGE).map(|range| within(range, size)).transpose()?;
        let (first, end) = range.unwrap_or((0, size));
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let range = range.map(|_| [(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1))]);
        let headers = [
            (header::ETAG, tag),
            (header::LAST_MODIFIED, time(&object).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            (header::ACCEPT_RANGES, "bytes".into()),
            (header::CONTENT_LENGTH, (end - first).to_string()),
        ];
        let read = move |at| piece(&file, at, PIECE.min((end - at) as usize));
        let body = match *request.method() {
            Method::HEAD => Body::empty(),
            _ => Body::from_stream(stream::iter((first..end).step_by(PIECE).map(read))),
        };
        Ok((status, headers, range, body).into_response())
    }

    /// Removes an object, if it is there.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), Problem> {
        let folder = self.bucket(bucket)?;
        if let Ok(path) = self.path(bucket, key).and_then(|path| Ok(fs::remove_file(&path).map(|()| path)?)) {
            // A folder that is empty is none. The first that is not ends this.
            let above = path.ancestors().skip(1).take_while(|above| *above != folder);
            above.map(fs::remove_dir).take_while(Result::is_ok).for_each(drop);
        }
        Ok(())
    }

    /// Removes the objects that a text in XML names.
    pub fn delete_all(&self, bucket: &str, text: &str) -> Answer {
        let mut content = String::new();
        for key in texts(text, "Key") {
            self.delete(bucket, &key)?;
            content += &format!("<Deleted><Key>{}</Key></Deleted>", escaped(&key));
        }
        Ok(xml("DeleteResult", &content))
    }

    /// Begins an upload in parts.
    pub async fn begin(&self, bucket: &str, key: &str) -> Answer {
        self.path(bucket, key)?;
        let (id, whole) = (self.number(), Arc::new(self.temporary()?));
        let content =
            format!("<Bucket>{bucket}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>", escaped(key));
        self.uploads.lock().await.insert(id, Upload { whole, slot: None, parts: HashMap::new() });
        Ok(xml("InitiateMultipartUploadResult", &content))
    }

    /// Takes a part of an upload.
    pub async fn part(&self, id: &str, number: &str, request: Request) -> Answer {
        let size = declared(request.headers()).ok_or(Problem::InvalidArgument)?;
        let before = number.parse::<u64>().ok().and_then(|number| number.checked_sub(1));
        let before = before.ok_or(Problem::InvalidArgument)?;
        let (file, at) = {
            let mut uploads = self.uploads.lock().await;
            let upload = uploads.get_mut(id).ok_or(Problem::NoSuchUpload)?;
            match *upload.slot.get_or_insert(size) {
                slot if size <= slot => (upload.whole.clone(), before * slot),
                _ => (Arc::new(self.temporary()?), 0),
            }
        };
        receive(request, &file.1, at).await?;
        let mut uploads = self.uploads.lock().await;
        let upload = uploads.get_mut(id).ok_or(Problem::NoSuchUpload)?;
        upload.parts.insert(number.into(), Part { file, at, size });
        Ok([(header::ETAG, format!("\"{id}-{number}\""))].into_response())
    }

    /// Forgets an upload.
    pub async fn abort(&self, id: &str) -> Result<(), Problem> {
        self.uploads.lock().await.remove(id).map(drop).ok_or(Problem::NoSuchUpload)
    }

    /// Makes an object of the parts that a text in XML names.
    pub async fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        headers: &HeaderMap,
        text: &str,
    ) -> Answer {
        let to = self.path(bucket, key)?;
        let mut uploads = self.uploads.lock().await;
        let upload = uploads.get(id).ok_or(Problem::NoSuchUpload)?;
        let parts = texts(text, "PartNumber").map(|number| upload.parts.get(&number));
        let parts = parts.collect::<Option<Vec<_>>>().ok_or(Problem::InvalidPart)?;
        let (mut made, mut size) = (upload.whole.clone(), 0);
        if !parts.iter().all(|part| {
            size += part.size;
            Arc::ptr_eq(&part.file, &upload.whole) && part.at + part.size == size
        }) {
            made = Arc::new(self.temporary()?);
            size = 0;
            for part in parts {
                (&part.file.1).seek(SeekFrom::Start(part.at))?;
                size += io::copy(&mut (&part.file.1).take(part.size), &mut &made.1)?;
            }
        }
        made.1.set_len(size)?;
        let etag = place(&made, &to, headers)?;
        uploads.remove(id);
        let content = format!("<Bucket>{bucket}</Bucket><Key>{}</Key><ETag>{etag}</ETag>", escaped(key));
        Ok(xml("CompleteMultipartUploadResult", &content))
    }
}

/// Gives what came its name. Nothing is awaited in here, so nobody comes between the look and the name.
fn place(made: &Temporary, to: &Path, headers: &HeaderMap) -> Result<String, Problem> {
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == "*") && to.is_file() {
        return Err(Problem::PreconditionFailed);
    }
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::rename(&made.0, to)?;
    Ok(etag(&made.1.metadata()?))
}

fn piece(file: &File, at: u64, size: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(size);
    match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at)? {
        read if read == size => Ok(bytes.into()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Of the file's number, time and size.
pub fn etag(object: &Metadata) -> String {
    format!("\"{:x}-{:x}{:08x}-{:x}\"", object.ino(), object.mtime(), object.mtime_nsec(), object.len())
}

/// When an object was written.
pub fn time(object: &Metadata) -> Timestamp {
    Timestamp::new(object.mtime(), object.mtime_nsec() as i32).unwrap_or_default()
}
