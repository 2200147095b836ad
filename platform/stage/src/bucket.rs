//! The S3 side on loopback: `s3s-fs` in a thread of this process. A bucket is a folder, an object a file.
//!
//! Objects are taken whole and their SHA-256 is checked before anything is stored: `s3s-fs` alone answers a wrong checksum with 400 and
//! keeps the object all the same, which no real store does.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

/// The bucket that PCs' logs go to.
pub(crate) const BUCKET: &str = "supplier-logs";

/// What S3 calls a region. It has nothing to do with Nomad's.
pub(crate) const LOCATION: &str = "eu-central-1";

/// The largest object that is taken.
const LARGEST: usize = 64 << 20;

/// A running S3 server with one bucket. Dropping it stops it; what is stored stays.
#[must_use]
#[derive(Debug)]
pub(crate) struct Bucket {
    url: String,
    folder: PathBuf,
    access_key_file: PathBuf,
    secret_key_file: PathBuf,
    refusing: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bucket {
    /// Serves `dir` on a port of the kernel's choice, with keys made anew.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let root = dir.join("objects");
        let folder = root.join(BUCKET);
        ionet_private::folder(&folder)?;
        let (access_key, secret_key) =
            (hex::encode(rand::random::<[u8; 10]>()), hex::encode(rand::random::<[u8; 20]>()));
        let (access_key_file, secret_key_file) = (dir.join("access-key"), dir.join("secret-key"));
        ionet_private::replace(&access_key_file, access_key.as_bytes())?;
        ionet_private::replace(&secret_key_file, secret_key.as_bytes())?;

        let refusing = Arc::new(AtomicBool::new(false));
        let files = FileSystem::new(&root).map_err(|error| anyhow!("{}: {error:?}", root.display()))?;
        let mut service = S3ServiceBuilder::new(Checked(files));
        service.set_auth(SimpleAuth::from_single(access_key, secret_key));
        service.set_access(Gate(Arc::clone(&refusing)));

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        // A runtime of its own: it must answer however its caller's runtime is made or busy.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let service = service.build();
        let thread = thread::Builder::new()
            .name("stage-s3".to_owned())
            .spawn(move || runtime.block_on(serve(listener, service, stopped)))?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { url, folder, access_key_file, secret_key_file, refusing, stop, thread })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where the objects lie as files, by key.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn key_files(&self) -> (&Path, &Path) {
        (&self.access_key_file, &self.secret_key_file)
    }

    /// From now on every request gets 403, or is served again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::SeqCst);
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the S3 server cannot listen"),
    };
    let http = Builder::new(TokioExecutor::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        match accepted {
            Ok((socket, _)) => {
                let connection = http.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
                tokio::spawn(async move { drop(connection.await) });
            }
            Err(error) => tracing::warn!(%error, "a connection to the S3 server failed"),
        }
    }
}

/// Lets in who has signed, unless the bucket is told to refuse.
struct Gate(Arc<AtomicBool>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() || self.0.load(Ordering::SeqCst) {
            return Err(s3_error!(AccessDenied));
        }
        Ok(())
    }
}

struct Checked(FileSystem);

#[async_trait::async_trait]
impl S3 for Checked {
    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let content = match request.input.body.take() {
            Some(body) => whole(body).await?,
            None => Vec::new(),
        };
        if let Some(expected) = &request.input.checksum_sha256
            && *expected != STANDARD.encode(Sha256::digest(&content))
        {
            return Err(s3_error!(BadDigest));
        }
        request.input.body = Some(StreamingBlob::from(Body::from(content)));
        self.0.put_object(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.0.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.0.head_object(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.head_bucket(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.0.list_objects_v2(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.delete_object(request).await
    }
}

async fn whole(mut body: StreamingBlob) -> S3Result<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| s3_error!(IncompleteBody))?;
        if content.len() + part.len() > LARGEST {
            return Err(s3_error!(EntityTooLarge));
        }
        content.extend_from_slice(&part);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusty_s3::actions::{PutObject, S3Action as _};
    use rusty_s3::{Credentials, UrlStyle};

    use super::*;

    struct Caller {
        bucket: Bucket,
        http: reqwest::Client,
        _dir: tempfile::TempDir,
    }

    impl Caller {
        fn new() -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let dir = tempfile::tempdir().unwrap();
            let bucket = Bucket::start(dir.path()).unwrap();
            Self { bucket, http: reqwest::Client::builder().no_proxy().build().unwrap(), _dir: dir }
        }

        async fn put(&self, key: &str, content: &'static str, sha256_of: &str) -> u16 {
            let (access, secret) = self.bucket.key_files();
            let read = |path: &Path| std::fs::read_to_string(path).unwrap();
            let credentials = Credentials::new(read(access), read(secret));
            let url = self.bucket.url().parse().unwrap();
            let bucket = rusty_s3::Bucket::new(url, UrlStyle::Path, BUCKET, LOCATION).unwrap();
            let checksum = STANDARD.encode(Sha256::digest(sha256_of));
            let mut action = PutObject::new(&bucket, Some(&credentials), key);
            action.headers_mut().insert("x-amz-checksum-sha256", checksum.clone());
            let url = action.sign(Duration::from_secs(60));
            let call = self.http.put(url).header("x-amz-checksum-sha256", checksum).body(content);
            call.send().await.unwrap().status().as_u16()
        }
    }

    #[tokio::test]
    async fn a_presigned_upload_lies_in_the_buckets_folder_byte_for_byte() {
        let caller = Caller::new();

        assert_eq!(caller.put("d-1/app/a.gz", "content", "content").await, 200);

        let stored = std::fs::read_to_string(caller.bucket.folder().join("d-1/app/a.gz")).unwrap();
        assert_eq!(stored, "content");
    }

    #[tokio::test]
    async fn an_upload_with_another_checksum_is_refused_and_not_stored() {
        let caller = Caller::new();

        assert_eq!(caller.put("d-1/a.gz", "content", "other").await, 400);

        assert!(!caller.bucket.folder().join("d-1/a.gz").exists());
    }

    #[tokio::test]
    async fn nothing_goes_in_without_a_signature_or_while_the_bucket_refuses() {
        let caller = Caller::new();
        let unsigned = caller.http.put(format!("{}/{BUCKET}/a", caller.bucket.url())).body("x");

        assert_eq!(unsigned.send().await.unwrap().status(), 403);
        caller.bucket.refuse(true);
        assert_eq!(caller.put("a", "x", "x").await, 403);
        caller.bucket.refuse(false);
        assert_eq!(caller.put("a", "x", "x").await, 200);
    }
}
