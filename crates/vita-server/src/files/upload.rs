//! `POST /upload/image` and `/upload/mask`: files of any kind, streamed to the disk as they come.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use vita_folders::{Annotated, Folders, PartialFile, Place, SafeName};

use super::picture::Picture;
use super::{blocking, disk_refused};
use crate::App;
use crate::body::{json_text, refuse, reply};

/// The most of a text field that is read.
const TEXT_BYTES_MAX: usize = 1 << 16;
/// How many pieces wait for the disk.
const PIECE_COUNT_MAX: usize = 16;
/// How many names `a (n).png` are tried.
const NAMES_MAX: u32 = 100_000;

pub(crate) async fn image(State(app): State<Arc<App>>, request: Request) -> Response {
    let form = match read_form(&app, request).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    blocking(move || store(&app.folders, form).unwrap_or_else(|response| *response)).await
}

pub(crate) async fn mask(State(app): State<Arc<App>>, request: Request) -> Response {
    let form = match read_form(&app, request).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    blocking(move || {
        let stored = masked(&app.folders, form).and_then(|form| store(&app.folders, form));
        stored.unwrap_or_else(|response| *response)
    })
    .await
}

type Refused = Box<Response>;

/// What was sent. The file lies under a temporary name in the input directory.
struct Form {
    file_name: String,
    file: PartialFile,
    place: Place,
    subfolder: SafeName,
    overwrite: bool,
    original: Option<Original>,
}

/// The picture that a mask belongs to.
#[derive(Debug, Deserialize)]
struct Original {
    filename: String,
    #[serde(default)]
    subfolder: String,
    #[serde(default, rename = "type")]
    place: Option<String>,
}

async fn read_form(app: &App, request: Request) -> Result<Form, Refused> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| Box::new(error.into_response()))?;
    let mut image = None;
    let (mut place, mut subfolder, mut overwrite, mut original) = (Place::Input, String::new(), false, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("image") if image.is_none() => {
                let name = field.file_name().unwrap_or_default().to_owned();
                if name.is_empty() {
                    return Err(refused("the field `image` holds no file with a name"));
                }
                image = Some((name, receive(&app.folders, field).await?));
            }
            Some("type") => {
                let name = text(field).await?;
                place = Place::parse(&name)
                    .ok_or_else(|| refused(&format!("`type` is `{name}`, not input, output or temp")))?;
            }
            Some("subfolder") => subfolder = text(field).await?,
            Some("overwrite") => overwrite = matches!(text(field).await?.as_str(), "true" | "1"),
            Some("original_ref") => {
                let reference = text(field).await?;
                let parsed = serde_json::from_str(&reference);
                original =
                    Some(parsed.map_err(|error| refused(&format!("`original_ref` is no JSON as expected: {error}")))?);
            }
            _ => drop(text(field).await),
        }
    }
    // ComfyUI answers with an empty 400 here, which helps nobody.
    let (name, file) = image.ok_or_else(|| refused("the form has no field `image` with a file"))?;
    let name = SafeName::new(&name).map_err(|error| refused(&error.to_string()))?;
    let folder = SafeName::folder(&subfolder).map_err(|error| refused(&error.to_string()))?;
    let subfolder = folder.join(&SafeName::folder(name.parent()).map_err(|error| refused(&error.to_string()))?);
    Ok(Form { file_name: name.file_name().to_owned(), file, place, subfolder, overwrite, original })
}

/// Writes a field to the disk while it comes in.
async fn receive(folders: &Arc<Folders>, mut field: Field<'_>) -> Result<PartialFile, Refused> {
    let (pieces, mut inbox) = mpsc::channel::<Bytes>(PIECE_COUNT_MAX);
    let folders = folders.clone();
    let writer = tokio::task::spawn_blocking(move || {
        let folder = folders.place(Place::Input);
        let io = |action, source| vita_folders::Error::Io { action, path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|source| io("create", source))?;
        let mut file = PartialFile::create(&folder.join("upload"))?;
        while let Some(piece) = inbox.blocking_recv() {
            file.write_all(&piece).map_err(|source| io("write to", source))?;
        }
        Ok(file)
    });
    loop {
        match field.chunk().await {
            Ok(Some(piece)) => {
                // The writer has stopped; it says why below.
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                // What was written goes away with the file that the writer gives back.
                drop(pieces);
                drop(writer.await);
                return Err(broken(error));
            }
        }
    }
    drop(pieces);
    match writer.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(Box::new(disk_refused(&error))),
        Err(error) => {
            tracing::error!("an upload failed: {error}");
            Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        }
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Refused> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        if bytes.len() + piece.len() > TEXT_BYTES_MAX {
            return Err(refused("a field of the form is longer than 65536 bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| refused("a field of the form is no UTF-8"))
}

/// Replaces the file of a form by its original with the transparency of the file.
fn masked(folders: &Folders, mut form: Form) -> Result<Form, Refused> {
    let Some(original) = &form.original else { return Err(refused("the form has no field `original_ref`")) };
    let annotated = Annotated::parse(&original.filename);
    let named = original.place.as_deref().map(|name| {
        Place::parse(name).ok_or_else(|| refused("`original_ref` has another `type` than input, output or temp"))
    });
    let place = annotated.place.map_or_else(|| named.unwrap_or(Ok(Place::Output)), Ok)?;
    let path = vita_folders::resolve_inside(folders.place(place), &original.subfolder, annotated.name)
        .map_err(|error| refused(&error.to_string()))?;
    if !path.is_file() {
        return Err(refused(&format!("the original `{}` is not in the {} directory", annotated.name, place.name())));
    }
    let read = |path: &Path, what: &str| {
        Picture::read(path).map_err(|reason| refused(&format!("cannot read {what}: {reason}")))
    };
    let mask = read(form.file.temporary(), "the mask")?;
    let mut picture = read(&path, "the original")?;
    picture.take_alpha_of(&mask);
    let bytes = picture.to_png(true).map_err(|reason| refused(&format!("cannot write the picture: {reason}")))?;
    let write = || {
        let mut file = PartialFile::create(&folders.place(Place::Input).join("upload"))?;
        let path = file.temporary().to_owned();
        file.write_all(&bytes).map_err(|source| vita_folders::Error::Io { action: "write", path, source })?;
        Ok(file)
    };
    form.file = write().map_err(|error| Box::new(disk_refused(&error)))?;
    Ok(form)
}

/// Gives an upload its final name. An equal file under that name is kept; a different one makes it `a (1).png`,
/// unless it is to be overwritten.
fn store(folders: &Folders, form: Form) -> Result<Response, Refused> {
    let disk = |error: vita_folders::Error| Box::new(disk_refused(&error));
    let folder = form.subfolder.under(folders.place(form.place));
    std::fs::create_dir_all(&folder)
        .map_err(|source| disk(vita_folders::Error::Io { action: "create", path: folder.clone(), source }))?;
    let reply =
        |name: &str| reply(&json!({ "name": name, "subfolder": form.subfolder.as_str(), "type": form.place.name() }));
    let mut file = form.file;
    if form.overwrite {
        file.move_to(folder.join(&form.file_name));
        file.commit().map_err(disk)?;
        return Ok(reply(&form.file_name));
    }
    for attempt in 0..NAMES_MAX {
        let name = if attempt == 0 { form.file_name.clone() } else { numbered(&form.file_name, attempt) };
        let path = folder.join(&name);
        if path.exists() {
            if is_equal(file.temporary(), &path).unwrap_or(false) {
                return Ok(reply(&name));
            }
            continue;
        }
        file.move_to(path);
        match file.commit_new().map_err(disk)? {
            Ok(_) => return Ok(reply(&name)),
            // Somebody else took the name just now: it is looked at again as an existing file.
            Err(returned) => file = returned,
        }
    }
    Err(refused("too many files of this name are there"))
}

/// `a.png` becomes `a (2).png`.
fn numbered(name: &str, number: u32) -> String {
    match name.rfind('.').filter(|&at| at > 0) {
        Some(at) => format!("{} ({number}){}", &name[..at], &name[at..]),
        None => format!("{name} ({number})"),
    }
}

fn is_equal(one: &Path, two: &Path) -> std::io::Result<bool> {
    let (one, two) = (File::open(one)?, File::open(two)?);
    if !two.metadata()?.is_file() || one.metadata()?.len() != two.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut two) = (BufReader::with_capacity(1 << 16, one), BufReader::with_capacity(1 << 16, two));
    let (mut first, mut second) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = one.read(&mut first)?;
        if count == 0 {
            return Ok(true);
        }
        two.read_exact(&mut second[..count])?;
        if first[..count] != second[..count] {
            return Ok(false);
        }
    }
}

fn broken(error: MultipartError) -> Refused {
    Box::new(json_text(error.status(), json!({ "error": error.body_text() }).to_string()))
}

fn refused(text: &str) -> Refused {
    Box::new(refuse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_before_the_extension() {
        for (name, expected) in [
            ("a.png", "a (2).png"),
            ("a.tar.gz", "a.tar (2).gz"),
            ("a", "a (2)"),
            (".a", ".a (2)"),
            ("a (1).png", "a (1) (2).png"),
        ] {
            assert_eq!(numbered(name, 2), expected);
        }
    }
}
