"""Files: written completely or not at all, read with checks, locked, and safe to share."""

from serjax.files.contents import PathLike as PathLike
from serjax.files.contents import json_hash as json_hash
from serjax.files.contents import parse_json as parse_json
from serjax.files.contents import read_json as read_json
from serjax.files.contents import read_text as read_text
from serjax.files.contents import write_bytes_atomic as write_bytes_atomic
from serjax.files.contents import write_json as write_json
from serjax.files.contents import write_text_atomic as write_text_atomic
