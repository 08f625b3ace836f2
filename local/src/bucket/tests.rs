use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use http::{Extensions, HeaderMap, Method, Uri};
use proptest::prelude::*;
use s3s::dto::{CompletedMultipartUpload, CompletedPart, ETagCondition, StreamingBlob};

use super::*;
use crate::home::Home;
use crate::template::Template;

const BUCKET: &str = crate::BUCKET;

pub(super) fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::GET,
        uri: Uri::from_static("/"),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

async fn s3(root: &Path) -> (Home, EmbeddedS3) {
    let home = Home::open(root.join("home")).unwrap();
    let store = Store::open(&home, Template::built_in().unwrap()).unwrap();
    store.make_bucket(BUCKET).await.unwrap();
    (home, EmbeddedS3::new(store))
}

fn text(text: &str) -> Option<StreamingBlob> {
    Some(StreamingBlob::from(s3s::Body::from(text.to_owned())))
}

async fn put_if(
    s3: &EmbeddedS3,
    key: &str,
    body: &str,
    change: impl FnOnce(&mut PutObjectInput),
) -> S3Result<PutObjectOutput> {
    let mut input = PutObjectInput::default();
    (input.bucket, input.key, input.body) = (BUCKET.into(), key.into(), text(body));
    change(&mut input);
    s3.put_object(request(input)).await.map(|answer| answer.output)
}

async fn put(s3: &EmbeddedS3, key: &str, body: &str) {
    put_if(s3, key, body, |_| ()).await.unwrap();
}

async fn get(s3: &EmbeddedS3, key: &str) -> S3Result<GetObjectOutput> {
    let input = GetObjectInput { bucket: BUCKET.into(), key: key.into(), ..GetObjectInput::default() };
    s3.get_object(request(input)).await.map(|answer| answer.output)
}

async fn body(output: GetObjectOutput) -> String {
    let chunks: Vec<bytes::Bytes> = output.body.unwrap().try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

async fn read(s3: &EmbeddedS3, key: &str) -> String {
    body(get(s3, key).await.unwrap()).await
}

async fn listed(s3: &EmbeddedS3, prefix: &str) -> Vec<(String, i64, String)> {
    let input =
        ListObjectsV2Input { bucket: BUCKET.into(), prefix: Some(prefix.into()), ..Default::default() };
    let contents = s3.list_objects_v2(request(input)).await.unwrap().output.contents.unwrap_or_default();
    let shown = |object: s3s::dto::Object| {
        (object.key.unwrap(), object.size.unwrap(), object.e_tag.unwrap().value().to_owned())
    };
    contents.into_iter().map(shown).collect()
}

const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

#[tokio::test]
async fn any_text_is_a_key_and_those_that_are_paths_are_found_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let (home, s3) = s3(folder.path()).await;
    let long = "x".repeat(1024);
    let keys = [
        "a",
        "a/b",
        "a/b/c",
        "a//b",
        "/a",
        "a/",
        "/",
        ".",
        "..",
        "../a",
        "a/../b",
        "./a",
        "ü/ 1+2%.csv",
        "a\nb",
        &long,
    ];
    for key in keys {
        put(&s3, key, key).await;
    }
    put(&s3, "b/c", "b/c").await;
    put(&s3, "b", "b").await;
    for key in keys.into_iter().chain(["b", "b/c"]) {
        assert_eq!(read(&s3, key).await, key);
    }
    let mut expected: Vec<&str> = keys.into_iter().chain(["b", "b/c"]).collect();
    expected.sort_unstable();
    let names: Vec<String> = listed(&s3, "").await.into_iter().map(|(key, ..)| key).collect();
    assert_eq!(names, expected);
    for key in ["a", "b/c", "ü/ 1+2%.csv"] {
        assert_eq!(fs::read_to_string(home.object(key)).unwrap(), key);
    }
    let above: BTreeSet<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(above.len(), 1, "nothing stands outside of the home");
    let error = put_if(&s3, &format!("{long}x"), "x", |_| ()).await.unwrap_err();
    assert_eq!(error.code().as_str(), "KeyTooLongError");
    for key in keys {
        s3.delete_object(request(DeleteObjectInput {
            bucket: BUCKET.into(),
            key: key.into(),
            ..Default::default()
        }))
        .await
        .unwrap();
        assert_eq!(get(&s3, key).await.unwrap_err().code().as_str(), "NoSuchKey");
    }
    assert_eq!(listed(&s3, "").await.len(), 2);
}

#[tokio::test]
async fn what_is_said_of_an_object_is_said_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, s3) = s3(folder.path()).await;
    let put = put_if(&s3, "x/put", "hello", |input| {
        input.content_type = Some("text/plain".into());
        input.content_encoding = Some("aws-chunked,gzip".into());
        input.cache_control = Some("no-store".into());
        input.metadata = Some([("fetched-at".to_owned(), "today".to_owned())].into());
        input.checksum_crc32 = Some("NhCmhg==".into());
        input.content_md5 = Some("XUFAKrxLKna5cZ2REBfFkg==".into());
    });
    let put = put.await.unwrap();
    assert_eq!((put.e_tag.unwrap().value(), put.checksum_crc32.as_deref()), (HELLO, Some("NhCmhg==")));
    let output = get(&s3, "x/put").await.unwrap();
    assert_eq!(output.content_type.as_deref(), Some("text/plain"));
    assert_eq!(output.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(output.cache_control.as_deref(), Some("no-store"));
    assert_eq!(output.metadata.clone().unwrap()["fetched-at"], "today");
    assert_eq!((output.checksum_crc32.clone(), output.content_length), (None, Some(5)), "not asked for");
    assert_eq!(body(output).await, "hello");

    let wrong: [fn(&mut PutObjectInput); 3] = [
        |input| input.content_md5 = Some("XUFAKrxLKna5cZ2REBfFkw==".into()),
        |input| input.checksum_crc32 = Some("AAAAAA==".into()),
        |input| input.checksum_sha256 = Some("AAAA".into()),
    ];
    for change in wrong {
        let error = put_if(&s3, "x/wrong", "hello", change).await.unwrap_err();
        assert_eq!(error.code().as_str(), "BadDigest");
    }
    assert_eq!(get(&s3, "x/wrong").await.unwrap_err().code().as_str(), "NoSuchKey");
}

#[tokio::test]
async fn a_condition_holds_or_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (_, s3) = s3(folder.path()).await;
    let other = || Some(ETagCondition::ETag(ETag::Strong("0".repeat(32))));
    let same = || Some(ETagCondition::ETag(ETag::Strong(HELLO.into())));
    let refused = |answer: S3Result<PutObjectOutput>| answer.unwrap_err().code().as_str().to_owned();
    assert_eq!(refused(put_if(&s3, "a", "x", |input| input.if_match = same()).await), "NoSuchKey");
    put_if(&s3, "a", "hello", |input| input.if_none_match = Some(ETagCondition::Any)).await.unwrap();
    let again = put_if(&s3, "a", "x", |input| input.if_none_match = Some(ETagCondition::Any)).await;
    assert_eq!(refused(again), "PreconditionFailed");
    assert_eq!(refused(put_if(&s3, "a", "x", |input| input.if_match = other()).await), "PreconditionFailed");
    let delete = async |condition| {
        let input = DeleteObjectInput {
            bucket: BUCKET.into(),
            key: "a".into(),
            if_match: condition,
            ..Default::default()
        };
        s3.delete_object(request(input)).await.map(drop)
    };
    assert_eq!(delete(other()).await.unwrap_err().code().as_str(), "PreconditionFailed");
    assert_eq!(read(&s3, "a").await, "hello");
    put_if(&s3, "a", "jello", |input| input.if_match = same()).await.unwrap();
    assert_eq!(delete(same()).await.unwrap_err().code().as_str(), "PreconditionFailed");
    delete(Some(ETagCondition::Any)).await.unwrap();
    assert_eq!(get(&s3, "a").await.unwrap_err().code().as_str(), "NoSuchKey");
}

#[tokio::test]
async fn files_that_somebody_else_writes_changes_and_removes_are_objects_too() {
    let folder = tempfile::tempdir().unwrap();
    let (home, s3) = s3(folder.path()).await;
    fs::create_dir_all(home.object("x/empty/deeper")).unwrap();
    for (key, length) in [("x/none", 0), ("x/small", 5), ("x/large", (1 << 20) + 1)] {
        fs::write(home.object(key), "z".repeat(length)).unwrap();
        let output = get(&s3, key).await.unwrap();
        assert_eq!(output.content_length, Some(i64::try_from(length).unwrap()), "{key}");
        assert_eq!(body(output).await.len(), length);
    }
    // twice within a tick of the clock for files, of one length
    fs::write(home.object("x/plain"), "hello").unwrap();
    assert_eq!(listed(&s3, "x/plain").await, [("x/plain".to_owned(), 5, HELLO.to_owned())]);
    fs::write(home.object("x/plain"), "jello").unwrap();
    assert_ne!(listed(&s3, "x/plain").await[0].2, HELLO);
    assert_eq!(read(&s3, "x/plain").await, "jello");

    put(&s3, "x/overwritten", "before").await;
    fs::write(home.object("x/overwritten"), "after!").unwrap();
    assert_eq!(read(&s3, "x/overwritten").await, "after!");
    assert_eq!(listed(&s3, "x/").await.len(), 5);
    fs::remove_file(home.object("x/overwritten")).unwrap();
    assert_eq!(get(&s3, "x/overwritten").await.unwrap_err().code().as_str(), "NoSuchKey");
    fs::remove_dir_all(home.object("x")).unwrap();
    assert_eq!(listed(&s3, "x/").await, []);

    // and they start what an object starts
    let queue = crate::queue::Queue::of(&s3.store);
    fs::create_dir_all(home.object("journal/2026-10")).unwrap();
    fs::write(home.object("journal/2026-10/a.jsonl"), "{}").unwrap();
    assert_eq!(listed(&s3, "journal/").await.len(), 1);
    let due = queue.due().unwrap();
    assert_eq!((due.len(), due[0].1.as_str()), (1, "report-revenue"));
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(listed(&s3, "journal/").await.len(), 1);
    assert_eq!(queue.waiting().unwrap(), 1, "once");
}

#[tokio::test]
async fn parts_are_put_together_as_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, s3) = s3(folder.path()).await;
    let begin = CreateMultipartUploadInput { bucket: BUCKET.into(), key: "big".into(), ..Default::default() };
    let id = s3.create_multipart_upload(request(begin)).await.unwrap().output.upload_id.unwrap();
    let large = "x".repeat(usize::try_from(parts::SMALLEST_PART).unwrap());
    let mut etags = Vec::new();
    for (number, part) in [(2, "end"), (1, large.as_str()), (3, "not named")] {
        let mut input = UploadPartInput::default();
        (input.bucket, input.key, input.upload_id) = (BUCKET.into(), "big".into(), id.clone());
        (input.part_number, input.body) = (number, text(part));
        etags.push((number, s3.upload_part(request(input)).await.unwrap().output.e_tag));
    }
    let etag = |number| etags.iter().find(|(known, _)| *known == number).unwrap().1.clone();
    let complete = async |parts: &[(i32, Option<ETag>)]| {
        let part = |(number, e_tag): &(i32, Option<ETag>)| CompletedPart {
            part_number: Some(*number),
            e_tag: e_tag.clone(),
            ..Default::default()
        };
        let mut input = CompleteMultipartUploadInput::default();
        (input.bucket, input.key, input.upload_id) = (BUCKET.into(), "big".into(), id.clone());
        input.multipart_upload =
            Some(CompletedMultipartUpload { parts: Some(parts.iter().map(part).collect()) });
        s3.complete_multipart_upload(request(input)).await.map(|answer| answer.output.e_tag)
    };
    for (parts, code) in [
        (vec![(2, etag(2)), (1, etag(1))], "InvalidPartOrder"),
        (vec![(1, etag(2)), (2, etag(2))], "InvalidPart"),
        (vec![(1, etag(1)), (4, etag(2))], "InvalidPart"),
        (vec![(2, etag(2)), (3, etag(3))], "EntityTooSmall"),
        (vec![], "MalformedXML"),
    ] {
        assert_eq!(complete(&parts).await.unwrap_err().code().as_str(), code);
    }
    assert!(get(&s3, "big").await.is_err());

    // a part that somebody changed on the disk is not what was acknowledged
    let changed =
        part_files(folder.path()).into_iter().find(|path| fs::read(path).unwrap() == b"end").unwrap();
    for other in ["End", "en"] {
        fs::write(&changed, other).unwrap();
        let refused = complete(&[(1, etag(1)), (2, etag(2))]).await.unwrap_err().to_string();
        assert!(refused.contains("it is not part 2 as it came"), "{refused}");
    }
    assert!(get(&s3, "big").await.is_err());
    fs::write(&changed, "end").unwrap();

    let whole = complete(&[(1, etag(1)), (2, etag(2))]).await.unwrap().unwrap();
    assert!(whole.value().ends_with("-2"), "{whole:?}");
    assert_eq!(read(&s3, "big").await, large + "end");
    assert_eq!(complete(&[(1, etag(1))]).await.unwrap_err().code().as_str(), "NoSuchUpload");
}

/// The files of all parts that are kept for uploads.
fn part_files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("upload-"))
            {
                found.push(path);
            }
        }
    }
    found
}

/// What S3 says a listing is: all keys with the prefix, sorted, those with the delimiter folded into one.
fn naive(keys: &BTreeSet<String>, input: &ListObjectsV2Input) -> Vec<String> {
    let (prefix, delimiter) = (input.prefix.clone().unwrap(), input.delimiter.clone());
    let fold = |key: &String| {
        let rest = key.strip_prefix(&prefix)?;
        let group = delimiter.as_ref().and_then(|delimiter| rest.split_once(delimiter.as_str()));
        let delimiter = delimiter.as_deref().unwrap_or_default();
        Some(group.map_or(key.clone(), |(before, _)| format!("{prefix}{before}{delimiter}")))
    };
    let items: BTreeSet<String> = keys.iter().filter_map(fold).collect();
    let after = input.start_after.clone().unwrap();
    items.into_iter().filter(|item| *item > after).collect()
}

async fn paged(s3: &EmbeddedS3, mut input: ListObjectsV2Input) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let output = s3.list_objects_v2(request(input.clone())).await.unwrap().output;
        let objects = output.contents.into_iter().flatten().filter_map(|object| object.key);
        let groups = output.common_prefixes.into_iter().flatten().filter_map(|group| group.prefix);
        let mut page: Vec<String> = objects.chain(groups).collect();
        page.sort_unstable();
        assert!(i32::try_from(page.len()).unwrap() <= input.max_keys.unwrap());
        assert!(all.last() < page.first() || page.is_empty(), "{all:?} {page:?}");
        all.extend(page);
        input.continuation_token = output.next_continuation_token;
        if !output.is_truncated.unwrap() {
            assert_eq!(input.continuation_token, None);
            return all;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Few different characters, around the slash in the order of bytes, so that names are often each other's beginning.
    #[test]
    fn a_listing_is_all_keys_sorted_whatever_the_page(
        keys in prop::collection::vec("[-.0aé/]{1,6}", 0..24),
        asked in prop::collection::vec((
            "([-.0aé/]{0,3})|([-.0a]{1,2}/[-.0a]{0,2})", prop::option::of("[-.0a/]{1,2}"), "[-.0aé/]{0,4}", 1i32..8,
        ), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (_, s3) = s3(folder.path()).await;
            for key in &keys {
                put(&s3, key, key).await;
            }
            let written: BTreeSet<String> = keys.into_iter().collect();
            for (prefix, delimiter, after, most) in asked {
                for most in [most, 1000] {
                    let input = ListObjectsV2Input {
                        bucket: BUCKET.into(), prefix: Some(prefix.clone()), delimiter: delimiter.clone(),
                        start_after: Some(after.clone()), max_keys: Some(most), ..Default::default()
                    };
                    assert_eq!(paged(&s3, input.clone()).await, naive(&written, &input), "{input:?}");
                }
            }
        });
    }
}
