//! A file that takes its name when it is whole: until then it is `NAME.partial`, and what is left of one that never was is
//! removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The name that a file will have.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    partial: Option<PathBuf>,
}

impl Partial {
    /// Begins a file that will be called `path`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<(Self, File)> {
        let partial = path.with_added_extension("partial");
        let file = File::create(&partial)?;
        Ok((Self { path: path.to_owned(), partial: Some(partial) }, file))
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, after everything has been written.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(partial) = &self.partial {
            fs::rename(partial, &self.path)?;
        }
        self.partial = None;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            // Nobody is left to be told.
            let _ = fs::remove_file(partial);
        }
    }
}
