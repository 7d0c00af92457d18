//! A bucket, through `object_store`: signed requests, uploads in parts, signed URLs for those without credentials.

use super::{Access, Entry, Error, Stream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::RetryConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Attributes, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, WriteMultipart,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bodies up to this go up in one conditional request.
const ONE_PART: usize = 8 << 20;
/// Parts of larger ones.
const PART: usize = 16 << 20;

/// How to get into a bucket; what is `None` is taken from the instance (metadata service) or is S3's own.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub region: Option<String>,
    /// Of a server that is not AWS; http:// is allowed only here.
    pub endpoint: Option<String>,
}

/// A bucket and the prefix of our keys in it.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    prefix: String,
}

/// What stands under a key now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub bytes: u64,
    /// Seconds since 1970.
    pub modified_s: i64,
    /// The bucket's own word for these bytes, where it has one.
    pub etag: Option<String>,
}

impl Bucket {
    /// `bucket/prefix`, without `s3://`.
    pub fn open(place: &str, credentials: &Credentials) -> Result<Bucket, Error> {
        Bucket::open_with(place, credentials, RetryConfig::default())
    }

    /// The same for somebody who waits: a request that fails is tried again for so long and no longer.
    pub fn open_impatient(place: &str, credentials: &Credentials, patience: Duration) -> Result<Bucket, Error> {
        Bucket::open_with(place, credentials, RetryConfig { retry_timeout: patience, ..RetryConfig::default() })
    }

    fn open_with(place: &str, credentials: &Credentials, retry: RetryConfig) -> Result<Bucket, Error> {
        // Both may be there already, from the service or a client; the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let wrong = |why: String| Error::Url { what: format!("s3://{place}"), why };
        if bucket.is_empty() {
            return Err(wrong("the bucket has no name".into()));
        }
        let prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            super::check_key(&prefix)?;
        }
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(credentials.region.as_deref().unwrap_or("us-east-1"));
        builder = builder.with_retry(retry);
        if let Some(endpoint) = &credentials.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let (Some(id), Some(secret)) = (&credentials.access_key_id, &credentials.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token);
        }
        let store = builder.build().map_err(|error| wrong(error.to_string()))?;
        Ok(Bucket { store: Arc::new(store), prefix })
    }

    fn place(&self, key: &str) -> Path {
        match self.prefix.is_empty() {
            true => Path::from(key),
            false => Path::from(format!("{}/{key}", self.prefix)),
        }
    }

    pub async fn put(&self, key: &str, mut bytes: Stream, most: u64) -> Result<u64, Error> {
        let place = self.place(key);
        let mut head = Vec::new();
        while let Some(chunk) = bytes.next().await {
            head.extend_from_slice(&chunk?);
            if head.len() > ONE_PART {
                return self.put_parts(key, &place, head, bytes, most).await;
            }
        }
        let written = head.len() as u64;
        if written > most {
            return Err(Error::TooLong { key: key.into(), most });
        }
        let options = PutOptions { mode: PutMode::Create, attributes: Attributes::new(), ..PutOptions::default() };
        self.store.put_opts(&place, head.into(), options).await.map_err(|error| remote(key, error))?;
        Ok(written)
    }

    async fn put_parts(&self, key: &str, place: &Path, head: Vec<u8>, mut bytes: Stream, most: u64) -> Result<u64, Error> {
        if self.store.head(place).await.is_ok() {
            return Err(Error::Exists { key: key.into() });
        }
        let upload = self.store.put_multipart_opts(place, PutMultipartOptions::default()).await.map_err(|error| remote(key, error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut written = head.len() as u64;
        upload.put(head.into());
        let sent = loop {
            match bytes.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(chunk)) => {
                    written += chunk.len() as u64;
                    upload.put(chunk);
                }
            }
            if written > most {
                break Err(Error::TooLong { key: key.into(), most });
            }
            if let Err(error) = upload.wait_for_capacity(2).await {
                break Err(remote(key, error));
            }
        };
        match sent {
            Ok(()) => upload.finish().await.map(|_| written).map_err(|error| remote(key, error)),
            Err(error) => {
                // parts that were sent are invisible; the bucket's own rule removes them if this fails too
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    pub async fn get(&self, key: &str) -> Result<(u64, Stream), Error> {
        let found = self.store.get(&self.place(key)).await.map_err(|error| remote(key, error))?;
        let (size, owned) = (found.meta.size, key.to_owned());
        Ok((size, found.into_stream().map_err(move |error| remote(&owned, error)).boxed()))
    }

    /// What there is under a key.
    pub async fn version(&self, key: &str) -> Result<Version, Error> {
        super::check_key(key)?;
        let meta = self.store.head(&self.place(key)).await.map_err(|error| remote(key, error))?;
        Ok(Version { bytes: meta.size, modified_s: meta.last_modified.timestamp(), etag: meta.e_tag })
    }

    /// A range of what stood under a key when this was its version; an error if something else stands there now.
    pub async fn range(&self, key: &str, version: &Version, range: Range<u64>) -> Result<Bytes, Error> {
        super::check_key(key)?;
        let wanted = range.end - range.start;
        let options = GetOptions { if_match: version.etag.clone(), range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let changed = || Error::Changed { key: key.into() };
        let bytes = match self.store.get_opts(&self.place(key), options).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        let bytes = bytes.map_err(|error| match error {
            object_store::Error::Precondition { .. } => changed(),
            error => remote(key, error),
        })?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(changed()) }
    }

    pub async fn size(&self, key: &str) -> Result<u64, Error> {
        Ok(self.store.head(&self.place(key)).await.map_err(|error| remote(key, error))?.size)
    }

    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.store.delete(&self.place(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(remote(key, error)),
        }
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let place = if prefix.is_empty() { Path::from(self.prefix.as_str()) } else { self.place(prefix) };
        let strip = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let found = self.store.list(Some(&place)).try_collect::<Vec<_>>().await.map_err(|error| remote(prefix, error))?;
        let mut entries: Vec<Entry> = found
            .into_iter()
            .filter_map(|meta| {
                let key = meta.location.as_ref().strip_prefix(&strip)?.to_owned();
                Some(Entry { key, bytes: meta.size, modified_s: meta.last_modified.timestamp() })
            })
            .collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    pub async fn sign(&self, access: Access, key: &str, lasts: Duration) -> Result<String, Error> {
        let method = match access {
            Access::Get => reqwest::Method::GET,
            Access::Put => reqwest::Method::PUT,
        };
        let url = self.store.signed_url(method, &self.place(key), lasts).await.map_err(|error| remote(key, error))?;
        Ok(url.to_string())
    }
}

fn remote(key: &str, error: object_store::Error) -> Error {
    let key = key.to_owned();
    match error {
        object_store::Error::NotFound { .. } => Error::Missing { key },
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => Error::Exists { key },
        other => Error::Remote { key, why: other.to_string() },
    }
}
