"""The cameras of a box file, as ``edgeflow check`` looks at them: there, told apart, of the right size."""
