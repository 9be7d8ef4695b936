# Reads results of onsager pipelines by their names:
#
#   source("onsager_read.R")
#   onsager_path("law.fit")             # where it is; one path for each instance of a matrix
#   onsager_read("law.fit")             # CSV and TSV as a data frame, other text as lines
#
# A result that is not what its pipeline says now is an error, with the command that makes it anew; `stale = TRUE` takes it as it is.
# The program `onsager` is found on PATH, or by the environment variable ONSAGER. Parquet needs the package arrow, JSON jsonlite.

onsager_path <- function(name, pipeline = NULL, stale = FALSE) {
  program <- Sys.getenv("ONSAGER", "onsager")
  arguments <- c("get", if (!is.null(pipeline)) c("--pipeline", pipeline), if (stale) "--stale", "--", name)
  errors <- tempfile()
  on.exit(unlink(errors))
  paths <- suppressWarnings(system2(program, shQuote(arguments), stdout = TRUE, stderr = errors))
  if (!is.null(attr(paths, "status"))) {
    stop(sub("^error: ", "", paste(readLines(errors, warn = FALSE), collapse = "\n")), call. = FALSE)
  }
  paths
}

onsager_read <- function(name, pipeline = NULL, stale = FALSE) {
  read_one <- function(path) {
    plain <- sub("\\.gz$", "", path)
    switch(tolower(tools::file_ext(plain)),
      csv = utils::read.csv(path, check.names = FALSE),
      tsv = utils::read.delim(path, check.names = FALSE),
      parquet = as.data.frame(arrow::read_parquet(path)),
      json = jsonlite::fromJSON(path),
      if (dir.exists(path)) path else readLines(path, warn = FALSE)
    )
  }
  read <- lapply(onsager_path(name, pipeline, stale), read_one)
  if (length(read) == 1) {
    read[[1]]
  } else if (all(vapply(read, is.data.frame, logical(1)))) {
    do.call(rbind, read)
  } else {
    read
  }
}
