"""Commands to a running box: received, authorised, recorded, carried out, answered."""
