
int descending() { return 0; }
