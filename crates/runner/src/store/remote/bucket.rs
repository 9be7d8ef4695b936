//! A remote store in a bucket of S3, GCS or Azure, or behind HTTP.

use crate::store::remote::credentials;
use crate::store::remote::error::TransportError;
use crate::store::remote::layout::Entry;
use crate::store::remote::place::{Place, Scheme};
use crate::store::remote::server::{Connector, Counters, fault, no_retries, options};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use std::ops::Range;
use std::sync::Arc;

/// A bucket, or what is below a prefix of it.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// None where large files go in one piece.
    parts: Option<Arc<dyn MultipartStoreDebug>>,
    prefix: String,
    pub writable: bool,
}

/// What takes large files in parts.
pub trait MultipartStoreDebug: MultipartStore + std::fmt::Debug {}
impl<T: MultipartStore + std::fmt::Debug> MultipartStoreDebug for T {}

/// Some bytes, as they came.
pub type Piece = <PutPayload as IntoIterator>::Item;

/// An object that is about to arrive.
pub struct Arriving {
    /// What the server says of its length.
    pub size: u64,
    pub pieces: BoxStream<'static, Result<Piece, TransportError>>,
}

impl Bucket {
    /// Opens a place; nothing is asked of the server yet.
    pub fn open(place: &Place, counters: Arc<Counters>) -> Result<Bucket, TransportError> {
        let location =
            place.location().map_err(|fault| TransportError::Other { message: fault.to_string() })?;
        let connector = Connector(counters);
        let plain = |url: &str| url.starts_with("http://");
        let wrong = |error: Error| fault(&error);
        let options = options();
        let (store, parts): (Arc<dyn ObjectStore>, Option<Arc<dyn MultipartStoreDebug>>) = match location
            .scheme
        {
            Scheme::S3 => {
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(&location.host);
                let given = |builder: &AmazonS3Builder, key| builder.get_config_value(&key).is_some();
                let profile = credentials::profile();
                if let (false, Some(key), Some(secret)) =
                    (given(&builder, AmazonS3ConfigKey::AccessKeyId), profile.key, profile.secret)
                {
                    builder = builder.with_access_key_id(key).with_secret_access_key(secret);
                    if let Some(token) = profile.token {
                        builder = builder.with_token(token);
                    }
                }
                let region = place.region.clone();
                let usual = profile.region.filter(|_| !given(&builder, AmazonS3ConfigKey::Region));
                if let Some(region) = region.or(usual) {
                    builder = builder.with_region(region);
                }
                let usual = profile.endpoint.filter(|_| !given(&builder, AmazonS3ConfigKey::Endpoint));
                if let Some(endpoint) = place.endpoint.clone().or(usual) {
                    builder = builder.with_endpoint(endpoint);
                }
                let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
                let options = options.with_allow_http(plain(&endpoint));
                // An object has the digest of its bytes as its name, and who takes it hashes it: one more digest in the signature,
                // for the server to compute again, would say nothing new.
                let builder = builder.with_unsigned_payload(true);
                let builder = builder.with_client_options(options).with_retry(no_retries());
                let store = Arc::new(builder.with_http_connector(connector).build().map_err(wrong)?);
                (store.clone(), Some(store))
            }
            Scheme::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&location.host);
                if let Some(endpoint) = &place.endpoint {
                    builder = builder.with_base_url(endpoint);
                }
                let options = options.with_allow_http(place.endpoint.as_deref().is_some_and(plain));
                let builder = builder.with_client_options(options).with_retry(no_retries());
                let store = Arc::new(builder.with_http_connector(connector).build().map_err(wrong)?);
                (store.clone(), Some(store))
            }
            Scheme::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&location.host);
                if let Some(account) = &place.account {
                    builder = builder.with_account(account);
                }
                if let Some(endpoint) = &place.endpoint {
                    builder = builder.with_endpoint(endpoint.clone());
                }
                let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint).unwrap_or_default();
                let options = options.with_allow_http(plain(&endpoint));
                let builder = builder.with_client_options(options).with_retry(no_retries());
                let store = Arc::new(builder.with_http_connector(connector).build().map_err(wrong)?);
                (store.clone(), Some(store))
            }
            Scheme::Http | Scheme::File => {
                let start = place.url.len() - place.url.split_once("://").map_or(0, |(_, rest)| rest.len());
                let builder = HttpBuilder::new()
                    .with_url(format!("{}{}", &place.url[..start], location.host))
                    .with_client_options(options.with_allow_http(plain(&place.url)))
                    .with_retry(no_retries());
                (Arc::new(builder.with_http_connector(connector).build().map_err(wrong)?), None)
            }
        };
        let writable = location.scheme != Scheme::Http;
        Ok(Bucket { store, parts, prefix: location.path, writable })
    }

    fn path(&self, name: &str) -> Path {
        Path::from_iter(self.prefix.split('/').chain(name.split('/')).filter(|part| !part.is_empty()))
    }

    /// Writes an object; if there is one already, that one stays unless it is to be replaced. True where it is new.
    pub async fn put(&self, name: &str, bytes: PutPayload, replace: bool) -> Result<bool, TransportError> {
        if !self.writable {
            return Err(TransportError::ReadOnly);
        }
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        let put = self.store.put_opts(&self.path(name), bytes, PutOptions::from(mode)).await;
        match put {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if !replace => Ok(false),
            Err(error) => Err(fault(&error)),
        }
    }

    pub async fn head(&self, name: &str) -> Result<Option<Entry>, TransportError> {
        match self.store.head(&self.path(name)).await {
            Ok(data) => {
                let modified = data.last_modified.timestamp_millis();
                Ok(Some(Entry { name: name.to_owned(), size: data.size, modified }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Begins to read an object, or a part of it.
    pub async fn get(
        &self,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Arriving>, TransportError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let got = match self.store.get_opts(&self.path(name), options).await {
            Ok(got) => got,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(fault(&error)),
        };
        let size = got.meta.size;
        let pieces = got.into_stream().map_err(|error| fault(&error));
        Ok(Some(Arriving { size, pieces: pieces.boxed() }))
    }

    /// The objects below a folder of it.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, TransportError> {
        let (folder, before) = (self.path(prefix), self.path("").as_ref().len());
        let found = self.store.list(Some(&folder)).map_ok(|data| {
            let name = data.location.as_ref().get(before..).unwrap_or_default().trim_start_matches('/');
            Entry { name: name.to_owned(), size: data.size, modified: data.last_modified.timestamp_millis() }
        });
        found.try_collect().await.map_err(|error| fault(&error))
    }

    pub async fn delete(&self, names: Vec<String>) -> Result<(), TransportError> {
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let mut deleted = self.store.delete_stream(futures::stream::iter(paths).boxed());
        while let Some(deleted) = deleted.next().await {
            match deleted {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(())
    }

    fn parts(&self) -> Result<&Arc<dyn MultipartStoreDebug>, TransportError> {
        self.parts.as_ref().filter(|_| self.writable).ok_or(TransportError::ReadOnly)
    }

    /// Begins a large object that comes in parts; gives the name of the upload.
    pub async fn begin(&self, name: &str) -> Result<String, TransportError> {
        self.parts()?.create_multipart(&self.path(name)).await.map_err(|error| fault(&error))
    }

    /// Sends a part, and gives what the server calls it. None where it does not know the upload any more.
    pub async fn part(
        &self,
        name: &str,
        upload: &str,
        number: usize,
        bytes: PutPayload,
    ) -> Result<Option<String>, TransportError> {
        let (path, upload) = (self.path(name), upload.to_owned());
        match self.parts()?.put_part(&path, &upload, number, bytes).await {
            Ok(part) => Ok(Some(part.content_id)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Makes the object of its parts. False where the server does not know the upload any more.
    pub async fn complete(
        &self,
        name: &str,
        upload: &str,
        parts: Vec<String>,
    ) -> Result<bool, TransportError> {
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        match self.parts()?.complete_multipart(&self.path(name), &upload.to_owned(), parts).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Gives a large object up.
    pub async fn abort(&self, name: &str, upload: &str) -> Result<(), TransportError> {
        self.parts()?
            .abort_multipart(&self.path(name), &upload.to_owned())
            .await
            .map_err(|error| fault(&error))
    }
}
