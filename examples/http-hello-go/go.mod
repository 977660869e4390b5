module http-hello-go

go 1.26
