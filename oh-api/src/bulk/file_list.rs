//! The CSV list of all files that a project can see.

use std::io::Write;

use super::csv_cell;
use crate::Error;
use crate::ProjectClient;

impl ProjectClient {
    /// Writes a CSV list of all members' files that the project can see, with the columns
    /// `project_member_id`, `data_source`, `file_basename` and `file_upload_date`. A member without
    /// files has a row with `NA`, `None`, `NA`. Returns the number of files.
    ///
    /// # Errors
    ///
    /// If members or files cannot be listed; [`Error::Io`] if the CSV cannot be written.
    pub async fn write_file_list(&self, out: impl Write) -> Result<u64, Error> {
        let io = |error: csv::Error| Error::from(std::io::Error::from(error));
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record([
            "project_member_id",
            "data_source",
            "file_basename",
            "file_upload_date",
        ])
        .map_err(io)?;
        let mut count = 0;
        let mut members = self.members();
        while let Some(member) = members.try_next().await? {
            let id = &member.project_member_id;
            if member.file_count == Some(0) {
                rows.write_record([id.as_str(), "NA", "None", "NA"])
                    .map_err(io)?;
                continue;
            }
            let mut files = self.files_of(&member);
            while let Some(file) = files.try_next().await? {
                let created = file.created.map(|at| at.to_string()).unwrap_or_default();
                let source = file.source.as_deref().unwrap_or_default();
                let name = csv_cell(&file.basename);
                let source = csv_cell(source);
                rows.write_record([id.as_str(), &source, &name, &created])
                    .map_err(io)?;
                count += 1;
            }
        }
        rows.flush()?;
        Ok(count)
    }
}
