"""Key files, shared secrets, and the users of a box.

In: paths of files from the box file or the command line. Out: Ed25519 keys, passphrases and HMAC secrets; no
message repeats their content. Also names, roles and hashed passwords of users. It starts no
threads.

Read ``keys.py`` first; ``shared_secrets.py`` reads what seals decisions and verifies commands.
"""
